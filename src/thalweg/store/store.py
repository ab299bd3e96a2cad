"""One survey on disk: an xarray DataTree on Zarr v3.

    OUT/zarr.json            attributes: settings, versions, hashes, which table is current
    OUT/shards/KEY/          traces and scalars of a few checkpoints; written whole, then renamed here
    OUT/tables/DIGEST/       scalars of all finished checkpoints; a new one replaces the old
    OUT/.partial/            states of shards under way; gone when the survey is complete

Nothing is ever seen half-written: groups are renamed into place, and the root's attributes, one
file, are replaced by a rename.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from thalweg.errors import InputError, first_line

SCHEMA = 1
MARK = "thalweg"


class Store:
    """A survey's folder."""

    def __init__(self, path: str | Path) -> None:
        """Name the folder; nothing is touched."""
        self.path = Path(path)

    @property
    def attributes(self) -> dict[str, Any]:
        """The root's attributes.

        Raises:
            InputError: no survey there.
        """
        try:
            found = json.loads((self.path / "zarr.json").read_text())["attributes"][MARK]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path} is no survey: give the folder that `thalweg survey --out` wrote"
            ) from error
        if found.get("schema") != SCHEMA:
            raise InputError(
                f"{self.path} has schema {found.get('schema')}, this version reads {SCHEMA}: run the survey again"
            )
        return found

    @property
    def exists(self) -> bool:
        """Whether a survey was begun there."""
        return (self.path / "zarr.json").exists()

    def check_free(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            InputError: it exists, and is no survey.
        """
        if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
            try:
                _ = self.attributes
            except InputError as error:
                raise InputError(f"{self.path} holds something else: give another --out, or empty it") from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for one writer.

        Raises:
            InputError: another process is writing.
        """
        self.check_free()
        for part in ("shards", "tables"):
            (self.path / part).mkdir(parents=True, exist_ok=True)
            _replace(self.path / part / "zarr.json", _group({}))
        self._partial.mkdir(exist_ok=True)
        if not (self.path / "zarr.json").exists():
            self.write_attributes({"complete": False})
        try:
            with FileLock(self._partial / "lock", timeout=0):
                yield
        except Timeout as error:
            raise InputError(f"{self.path} is being written by another process: wait for it") from error

    def write_attributes(self, attributes: dict[str, Any]) -> None:
        """Replace the root's attributes at once."""
        _replace(self.path / "zarr.json", _group({MARK: {"schema": SCHEMA, **attributes}}))

    def has_shard(self, key: str) -> bool:
        """Whether a shard is finished."""
        return (self.path / "shards" / key / "zarr.json").exists()

    def write_shard(self, key: str, shard: xr.Dataset) -> None:
        """Write a shard whole, and forget its states."""
        self._write(shard, self.path / "shards" / key)
        for state in self._partial.glob(f"{key}-*.safetensors"):
            state.unlink()

    def read_shard(self, key: str) -> xr.Dataset:
        """A finished shard, in memory."""
        return _read(self.path / "shards" / key)

    def write_table(self, name: str, table: xr.Dataset, attributes: dict[str, Any]) -> None:
        """Put a new table in the place of the old one."""
        place = self.path / "tables" / name
        if not place.exists():
            self._write(table, place)
        self.write_attributes({**attributes, "table": name})
        for old in (self.path / "tables").iterdir():
            if old.is_dir() and old.name != name:
                shutil.rmtree(old)

    def read_table(self) -> xr.Dataset:
        """Scalars of every finished checkpoint.

        Raises:
            InputError: no survey, or none of its shards is finished.
        """
        name = self.attributes.get("table")
        if name is None:
            raise InputError(
                f"{self.path} has no finished shard yet: run the survey again, it goes on where it stopped"
            )
        return _read(self.path / "tables" / name)

    def save_state(self, key: str, chunk: int, tensors: dict[str, Tensor], step: int) -> None:
        """Keep the state of a chunk under way."""
        place = self._state(key, chunk)
        save_file({k: t.contiguous() for k, t in tensors.items()}, place.with_suffix(".new"), {"step": str(step)})
        os.replace(place.with_suffix(".new"), place)

    def load_state(self, key: str, chunk: int) -> tuple[dict[str, Tensor], int] | None:
        """The state of a chunk, where one was kept."""
        try:
            with safe_open(self._state(key, chunk), framework="pt") as file:
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
                return tensors, int(file.metadata()["step"])
        except (OSError, SafetensorError):
            return None

    def finish(self) -> None:
        """Drop what was kept for resumption."""
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def _partial(self) -> Path:
        return self.path / ".partial"

    def _state(self, key: str, chunk: int) -> Path:
        return self._partial / f"{key}-{chunk}.safetensors"

    def _write(self, group: xr.Dataset, place: Path) -> None:
        """Write a group aside, then rename it into place."""
        aside = self._partial / f"{place.name}.new"
        shutil.rmtree(aside, ignore_errors=True)
        whole = {str(name): {"chunks": array.shape} for name, array in group.variables.items() if array.ndim}
        group.to_zarr(aside, mode="w", zarr_format=3, consolidated=False, encoding=whole)
        os.replace(aside, place)


def versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    return {name: version(name) for name in ("thalweg", "torch", "numpy", "arviz-stats", "zarr", "xarray")}


def _read(place: Path) -> xr.Dataset:
    """A group, in memory."""
    try:
        with xr.open_zarr(place, consolidated=False) as group:
            return group.load()
    except Exception as error:
        raise InputError(f"{place} is damaged ({first_line(error)}): remove it and run the survey again") from error


def _group(attributes: dict[str, Any]) -> str:
    """The metadata file of a Zarr v3 group."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=1, allow_nan=False)


def _replace(path: Path, text: str) -> None:
    """Write a small file at once."""
    aside = path.with_name(path.name + ".new")
    aside.write_text(text)
    os.replace(aside, path)
