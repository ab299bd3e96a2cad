"""Arrays of an .npz that others wrote: what each is from its header, its numbers only where they are asked for.

Bounded before anything is unpacked: the file, its table of contents, the number of arrays, the bytes that they have
unpacked. Nothing is unpickled.
"""

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thalweg.agents._reading import BYTES, checked_size
from thalweg.errors import InputError, guarded, shown

ARRAYS = 4096  # in an archive at most
CONTENTS = 2**20  # bytes of its table of contents at most
AXES = 32  # of an array at most
HEADER = 1024  # bytes of the header of an array at most
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as numpy writes; others may ask for any memory


@dataclass(frozen=True)
class Stored:
    """An array that is not read yet.

    Attributes:
        path: of the archive.
        member: its name there.
        shape: by its header.
        dtype: by its header: floats, whole numbers or bools.
    """

    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    def read(self) -> np.ndarray:
        """Its numbers: floats of half, single and double precision as they are, all else as float64."""
        with _opened(self.path) as held, held.open(self.member) as file:
            found = np.lib.format.read_array(file, allow_pickle=False)
            if (found.shape, found.dtype) != (self.shape, self.dtype):
                raise ValueError("the file has changed")
        narrow = found.dtype.kind == "f" and found.dtype.itemsize <= 8
        wanted = found.dtype.newbyteorder("=") if narrow else np.dtype(np.float64)
        with np.errstate(over="ignore"):  # of a wider float, which is refused as infinite
            return np.ascontiguousarray(found, dtype=wanted).reshape(self.shape)  # (1,) of a scalar


def stored(path: Path) -> dict[str, Stored]:
    """All arrays of an .npz, refused where there are too many, too large, of one name, or no plain numbers."""
    checked_size(path, BYTES)
    found: dict[str, Stored] = {}
    with _opened(path) as held:
        items = held.infolist()
        size = sum(item.file_size for item in items)
        if size > BYTES:
            raise InputError(f"{path}: {size / 2**20:.0f} MiB unpacked: give at most {BYTES >> 20}")
        if len(items) > ARRAYS:
            raise InputError(f"{path}: {len(items):,} arrays: give at most {ARRAYS:,}")
        for item in items:
            name = item.filename.removesuffix(".npy")
            if name in found:
                raise InputError(f"{path}: two arrays are called {shown(name)}: leave one out")
            found[name] = _described(path, held, item)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive; whatever is wrong with it is said in one line."""
    with (
        guarded(f"{path}: reading the arrays", "give an .npz of plain numbers, as numpy.savez writes it"),
        warnings.catch_warnings(),
        _Bounded(path) as file,
        zipfile.ZipFile(file) as held,
    ):
        warnings.simplefilter("error")  # of headers that numpy would have to guess
        file.most = BYTES
        yield held


class _Bounded(io.FileIO):
    """A file that gives no more at once than a table of contents may have, while an archive is opened."""

    most = CONTENTS

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self.most + 1 if size is None or size < 0 else size
        found = super().read(min(wanted, self.most + 1))
        if len(found) > self.most:
            raise ValueError(f"more than {self.most:,} bytes at once")
        return found


def _described(path: Path, held: zipfile.ZipFile, item: zipfile.ZipInfo) -> Stored:
    """From its header; refuse objects, text, and sizes that are not those of its bytes."""
    name = shown(item.filename.removesuffix(".npy"))
    if item.compress_type not in PACKED:
        raise ValueError(f"array {name} is packed as numpy does not")
    with held.open(item) as file:
        head = io.BytesIO(file.read(HEADER))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    if dtype.kind not in "fiub":
        raise InputError(f"{path}: array {name!r} holds {str(dtype)[:80]}: give plain numbers")
    if len(shape) > AXES or any(length < 0 for length in shape):
        raise ValueError(f"array {name} has the shape {str(shape)[:80]}")
    there, asked = item.file_size - head.tell(), math.prod(shape) * dtype.itemsize
    if asked > there:
        raise InputError(f"{path}: array {name!r} is cut short: write it again")
    if asked < there:
        raise InputError(f"{path}: array {name!r} holds more than its header says: write it again")
    if any(length > BYTES for length in shape):  # of an array without numbers
        raise ValueError(f"array {name} has the shape {str(shape)[:80]}")
    return Stored(path, item.filename, tuple(int(length) for length in shape), dtype)
