"""One survey on disk: an xarray DataTree on Zarr v3.

    OUT/zarr.json            attributes: settings, versions, hashes, which table is current
    OUT/shards/KEY/          traces and scalars of a few checkpoints; written whole, then renamed here
    OUT/tables/DIGEST/       scalars of all finished checkpoints; a new one replaces the old
    OUT/.partial/            states of shards under way; gone when the survey is complete

Nothing is ever seen half-written: groups are renamed into place, and the root's attributes, one
file, are replaced by a rename. Nothing is read that is not what was written: see `sealed`.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr
from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from thalweg.errors import InputError, first_line
from thalweg.runtime import atomic_write, remove, temporary
from thalweg.store._sealed import ROOT, DamagedError, pack, sealed, unpack, unsealed
from thalweg.store.fingerprint import digest, of_tensors

PARTIAL = ".partial"
PARTS = ("shards", "tables")
KEY = re.compile("[0-9a-f]{24}")
TRIES = 100  # of a reader whose table was replaced while it read


class Store:
    """A survey's folder."""

    def __init__(self, path: str | Path) -> None:
        """Name the folder; nothing is touched."""
        self.path = Path(path)

    @property
    def attributes(self) -> dict[str, Any]:
        """The root's attributes.

        Raises:
            InputError: no survey there, one of an older format, or attributes that are damaged.
        """
        try:
            return unsealed(self.path / ROOT)
        except DamagedError as error:
            if self._is_ours():
                raise
            raise InputError(
                f"{self.path} is no survey: give the folder that `thalweg survey --out` wrote"
            ) from error

    def remembered(self) -> dict[str, Any]:
        """The root's attributes, or where they are lost, those that a table has kept; else nothing."""
        for path in (self.path / ROOT, *sorted(self.path.glob(f"tables/*/{ROOT}"))):
            with suppress(InputError):
                found = unsealed(path)
                return found.get("survey", found)
        return {}

    def check_free(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            InputError: it exists, and is no survey, or one of an older format.
        """
        if not os.path.lexists(self.path) or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        try:
            unsealed(self.path / ROOT)
        except DamagedError as error:
            if not self._is_ours():
                raise InputError(f"{self.path} holds something else: give another --out, or empty it") from error

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for one writer; what of its frame is damaged is made anew.

        Raises:
            InputError: another process is writing, or the folder cannot be written.
        """
        self.check_free()
        with ExitStack() as held:
            try:
                _folder(self._partial)
                held.enter_context(FileLock(self._partial / "lock", timeout=0))
                self._frame()
            except Timeout as error:
                raise InputError(f"{self.path} is being written by another process: wait for it") from error
            except OSError as error:
                words = error.strerror or first_line(error)
                raise InputError(
                    f"{error.filename or self.path} cannot be written: {words}: give another --out"
                ) from error
            yield

    def write_attributes(self, attributes: dict[str, Any]) -> None:
        """Replace the root's attributes at once."""
        _replace(self.path / ROOT, sealed({}, attributes))

    def write_shard(self, key: str, shard: xr.Dataset) -> None:
        """Write a shard whole, in the place of one that is damaged, and forget its states."""
        self._put(self.path / "shards" / key, pack(shard, key)[1])
        for state in self._partial.glob(f"{key}-*.safetensors"):
            state.unlink()

    def read_shard(self, key: str) -> xr.Dataset:
        """A finished shard, in memory.

        Raises:
            InputError: it is missing or damaged.
        """
        return unpack(self.path / "shards" / key)

    def find_shard(self, key: str) -> xr.Dataset | None:
        """A finished shard, or None where it is to be computed: missing, or damaged."""
        try:
            return self.read_shard(key)
        except DamagedError:
            return None

    def write_table(self, table: xr.Dataset, attributes: dict[str, Any]) -> None:
        """Put a new table in the place of the old one; with it the attributes, should the root lose them."""
        name, files = pack(table, survey=attributes)
        place = self.path / "tables" / name
        try:
            unpack(place)
        except DamagedError:
            self._put(place, files)
        self.write_attributes({**attributes, "table": name})
        for old in (self.path / "tables").iterdir():
            if KEY.fullmatch(old.name) and old.name != name:
                remove(old)

    def read(self) -> tuple[dict[str, Any], xr.Dataset]:
        """The root's attributes, and the scalars of every finished checkpoint that they speak of.

        Raises:
            InputError: no survey, none of its shards is finished, or its table is damaged.
        """
        attributes = self.attributes
        for _ in range(TRIES):
            name = attributes.get("table")
            if name is None:
                raise InputError(
                    f"{self.path} has no finished shard yet: run the survey again, it goes on where it stopped"
                )
            try:
                return attributes, unpack(self.path / "tables" / name)
            except DamagedError:
                before, attributes = attributes, self.attributes
                if attributes == before:
                    raise
        raise InputError(f"{self.path} is being written too fast to be read: try again")

    def save_state(self, key: str, chunk: int, tensors: dict[str, Tensor], step: int) -> None:
        """Keep the state of a chunk under way."""
        place = self._state(key, chunk)
        named = {k: t.contiguous() for k, t in tensors.items()}
        told = {"step": str(step), "digest": digest(key, chunk, step, of_tensors(named))}
        with atomic_write(place) as aside:
            save_file(named, aside, told)

    def load_state(self, key: str, chunk: int) -> tuple[dict[str, Tensor], int] | None:
        """The state of a chunk, where one was kept and is what was kept."""
        place = self._state(key, chunk)
        try:
            if not stat.S_ISREG(place.stat().st_mode):
                return None
            with safe_open(place, framework="pt") as file:
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
                told = file.metadata() or {}
            step = int(told["step"])
            kept = told["digest"] == digest(key, chunk, step, of_tensors(tensors))
        except Exception:  # whatever stands there instead, the chunk begins anew
            return None
        return (tensors, step) if kept else None

    def finish(self) -> None:
        """Drop what was kept for resumption."""
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def _partial(self) -> Path:
        return self.path / PARTIAL

    def _state(self, key: str, chunk: int) -> Path:
        return self._partial / f"{key}-{chunk}.safetensors"

    def _is_ours(self) -> bool:
        """Whether a survey was begun here, by what stands beside the root's attributes."""
        roots = {ROOT, temporary(Path(ROOT)).name}
        beside = {place.name for place in self.path.glob("*")} - roots
        within = {place.name for part in PARTS for place in self.path.glob(f"{part}/*")} - roots
        if any(KEY.fullmatch(name) for name in within):
            return True
        return bool(beside) and beside <= {PARTIAL, *PARTS} and not within

    def _frame(self) -> None:
        """The root and the groups that hold shards and tables."""
        group = {"zarr_format": 3, "node_type": "group", "attributes": {}}  # that holds nothing but groups
        for part in PARTS:
            _folder(self.path / part)
            _replace(self.path / part / ROOT, json.dumps(group, indent=1).encode())
        try:
            unsealed(self.path / ROOT)
        except DamagedError:
            self.write_attributes({**self.remembered(), "complete": False})

    def _put(self, place: Path, files: dict[str, bytes]) -> None:
        """Write a group aside, then rename it into place."""
        with atomic_write(place, within=self._partial, over=True) as aside:
            for path, content in files.items():
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                (aside / path).write_bytes(content)


def versions() -> dict[str, str]:
    """Versions of what computed the numbers."""
    return {name: version(name) for name in ("thalweg", "torch", "numpy", "arviz-stats", "zarr", "xarray")}


def _replace(path: Path, content: bytes) -> None:
    """Write a small file at once, in the place of whatever is there."""
    with atomic_write(path, over=True) as aside:
        aside.write_bytes(content)


def _folder(path: Path) -> None:
    """Make a folder, in the place of what is none."""
    if not path.is_dir():
        remove(path)
        path.mkdir(parents=True, exist_ok=True)
