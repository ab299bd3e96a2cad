"""Groups of arrays on disk that are read whole or not at all.

Each `zarr.json` of a root, a shard or a table carries a digest of all that it says; that of a shard or a table names
every file beside it, with size and hash. A group is read into memory file by file and held to that list before its
arrays are made, so that no reader meets a file that is missing, damaged, half-written or another's.
"""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.buffer.cpu import Buffer
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from thalweg.errors import InputError, first_line
from thalweg.store.fingerprint import digest

FORMAT = 2  # 1 had no digests, and healthy for the code 0, which is what Zarr reads where a chunk is lost
MARK = "thalweg"
ROOT = "zarr.json"
MOST = 1 << 25  # bytes of a zarr.json, some 40,000 checkpoints
AGAIN = "run the same survey again, it computes what is damaged and nothing else"
NOTHING = {"f": np.nan, "i": np.iinfo(np.int64).min}  # what is read where a chunk is lost, by kind of number


class DamagedError(InputError):
    """A file is not what was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is damaged ({why}): {AGAIN}")


def _read_file(path: Path, size: int | None = None) -> bytes:
    """The bytes of a regular file, or of a link to one, of `size` bytes; None for at most `MOST`."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise DamagedError(path, "no regular file")
            if found.st_size != size and (size is not None or found.st_size > MOST):
                raise DamagedError(path, f"{found.st_size:,} bytes, {size or MOST:,} were written")
            return file.read(found.st_size)
    except FileNotFoundError as error:
        raise DamagedError(path, "missing") from error
    except OSError as error:
        raise DamagedError(path, error.strerror or first_line(error)) from error


def sealed(attributes: dict[str, Any], said: dict[str, Any]) -> bytes:
    """A `zarr.json` of a group, with what is said under the package's mark and the digest of it all.

    Raises:
        InputError: more than would be read again.
    """
    whole = {"zarr_format": 3, "node_type": "group", "attributes": {**attributes, MARK: {"schema": FORMAT, **said}}}
    whole = json.loads(json.dumps(whole))
    whole["attributes"][MARK]["digest"] = digest(whole)
    content = json.dumps(whole).encode()
    if len(content) > MOST:
        raise InputError(f"{len(content):,} bytes of settings and reasons: give fewer checkpoints to one survey")
    return content


def unsealed(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """What a `zarr.json` says under the package's mark; its bytes are read where they are not given.

    Raises:
        DamagedError: missing, cut, edited, or another's.
        InputError: of an older format.
    """
    content = _read_file(path) if content is None else content
    try:
        whole = json.loads(content)
        said = whole["attributes"][MARK]
        given = said.get("schema"), said.pop("digest", None)
        found = digest(whole)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(path, "no record of a survey") from error
    if given == (1, None):
        raise InputError(
            f"{path.parent} was written in format 1, without checksums: remove it, or give another folder, and run"
            " the survey again"
        )
    if given[1] != found:
        raise DamagedError(path, "other words than were written")
    if given[0] != FORMAT:
        raise InputError(
            f"{path.parent} was written in format {given[0]}, this version reads {FORMAT}: update thalweg"
        )
    return said


def pack(group: xr.Dataset, name: str | None = None, **said: Any) -> tuple[str, dict[str, bytes]]:
    """The name of a group's folder, by default a digest of the content, and path -> bytes, `zarr.json` last.

    Each array becomes one chunk, compressed, with a checksum of its own; what is said stands under our mark.
    """
    held: dict[str, Any] = {}
    encoding = {str(k): _encoding(k, array) for k, array in group.variables.items()}
    made = {"mode": "w", "zarr_format": 3, "consolidated": False, "write_empty_chunks": True}
    group.to_zarr(MemoryStore(held), encoding=encoding, **made)
    files = {path: buffer.to_bytes() for path, buffer in held.items()}
    attributes = json.loads(files.pop(ROOT))["attributes"]
    listed = {path: [len(content), _hash(content)] for path, content in files.items()}
    name = name or digest(attributes, listed, said)
    return name, {**files, ROOT: sealed(attributes, {"name": name, "files": listed, **said})}


def unpack(place: Path) -> xr.Dataset:
    """A group, in memory, all of its files as they were written.

    Raises:
        DamagedError: one of them is not, or the group belongs elsewhere.
        InputError: arrays that the installed Zarr cannot read.
    """
    content = _read_file(place / ROOT)
    said = unsealed(place / ROOT, content)
    if said.get("name") != place.name:
        raise DamagedError(place / ROOT, "it belongs to another folder")
    held: dict[str, Any] = {ROOT: Buffer.from_bytes(content)}
    for path, (size, hashed) in said["files"].items():
        found = _read_file(place / path, size)
        if _hash(found) != hashed:
            raise DamagedError(place / path, "other bytes than were written")
        held[path] = Buffer.from_bytes(found)
    try:
        with xr.open_zarr(MemoryStore(held), consolidated=False) as opened:
            group = opened.load()
    except Exception as error:
        raise InputError(f"{place} cannot be read ({first_line(error)}): update zarr and xarray") from error
    del group.attrs[MARK]
    return group


def _encoding(name: Any, array: xr.Variable) -> dict[str, Any]:
    """One chunk with a checksum; where it is lost, what other readers see is no answer."""
    nothing = 0 if name == "verdict" else NOTHING[array.dtype.kind]
    return {"chunks": array.shape, "compressors": (ZstdCodec(level=0), Crc32cCodec()), "fill_value": nothing}


def _hash(content: bytes) -> str:
    """SHA-256, 24 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:24]


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe in its place would otherwise wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
