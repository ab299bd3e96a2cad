"""The one door for the bytes of a checkpoint: what a file is, how large it may become, whether its checksums hold.

Bounded before anything is unpacked: the file, the names in it, the bytes that they have unpacked.
"""

import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from thalweg.errors import InputError, first_line, shown

LIMIT = 64 << 30  # bytes of a file, and of what it unpacks to
RATIO, SLACK = 16, 16 << 20  # of the file, and bytes beside: what it may unpack to, for weights hardly compress
TENSORS = 10_000  # in a file, and entries of an archive
PIECE = 1 << 20  # bytes that are read at once
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for any memory
ZIP, PICKLE = b"PK\x03\x04", b"\x80"  # what torch.save begins with, today and of old
APPLE = b"\x00\x05\x16\x07"
MARKS = {  # what else a file may begin with, and what to do about it
    APPLE: "is no checkpoint but what macOS keeps beside one: delete it",
    b"version https://git-lfs": "is no checkpoint but a pointer of Git LFS: run git lfs pull",
}
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
LEAVE = "leave it out of the folder"
CUT = f"is cut short, or not yet written to its end: copy it again, or {LEAVE}"


def opened(path: Path) -> IO[bytes]:
    """A checkpoint's file, open for reading.

    Raises:
        InputError: a folder, pipe or device; a link to nothing; what is empty, too large, or plainly something else.
    """
    with refusing(path, "cannot be read"):
        if path.is_symlink() and not path.exists():
            raise InputError(f"{path} is a link to nothing: {LEAVE}")
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = KINDS.get(stat.S_IFMT(found.st_mode), "something else")
            raise InputError(f"{path} is {kind}, no file: {LEAVE}")
        if path.name.startswith("._"):
            raise InputError(f"{path} {MARKS[APPLE]}")
        if not found.st_size:
            raise InputError(f"{path} is empty: {LEAVE}")
        if found.st_size > LIMIT:
            size = found.st_size >> 30
            raise InputError(
                f"{path} is {size} GiB, more than {LIMIT >> 30}: split it, or sample a restriction of it"
            )
        with path.open("rb") as file:
            head = file.read(max(map(len, MARKS)))
        for mark, said in MARKS.items():
            if head.startswith(mark):
                raise InputError(f"{path} {said}")
        return path.open("rb")


@contextmanager
def refusing(path: Path, said: str) -> Iterator[None]:
    """Whatever a reader raises, as an InputError of one line; its warnings are not heard."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles of another protocol
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} {said} ({_shown_error(error)}): {LEAVE}") from error


def _shown_error(error: Exception) -> str:
    """What an error says, short; of torch's advice on pickles only what was wrong."""
    return first_line(ValueError(str(error).rpartition("WeightsUnpickler error: ")[2]))[:120]


@contextmanager
def archive(path: Path, file: IO[bytes], kind: str) -> Iterator[zipfile.ZipFile]:
    """An open zip, of which nothing is unpacked, once its table of contents is found to be bounded.

    Raises:
        InputError: cut short, no zip, too many entries, two of one name, much more unpacked than the file holds.
    """
    size = file.seek(0, 2)
    file.seek(0)
    with refusing(path, f"is no {kind}"):
        if file.read(len(ZIP)) == ZIP and not zipfile.is_zipfile(file):
            raise InputError(f"{path} {CUT}")
    with refusing(path, f"is no {kind}"), zipfile.ZipFile(file) as held:
        items = held.infolist()
        if len(items) > TENSORS:
            raise InputError(f"{path} holds {len(items):,} entries: give at most {TENSORS:,}")
        check_bytes(path, sum(item.file_size for item in items), size)
        names = [item.filename for item in items]
        if len(set(names)) < len(names):
            raise InputError(f"{path} holds two entries of one name: {LEAVE}")
        odd = next((item.filename for item in items if item.compress_type not in PACKED), None)
        if odd is not None:
            raise InputError(f"{path} packs {shown(odd)} in a way that is not understood: {LEAVE}")
        unlike = next((item.filename for item in items if _read_otherwise(item)), None)
        if unlike is not None:
            raise InputError(
                f"{path} is damaged: its table of contents, at {shown(unlike)}: copy it again, or {LEAVE}"
            )
        yield held


def _read_otherwise(item: zipfile.ZipInfo) -> bool:
    """Whether torch's reader would take an entry for other bytes than the one that compares checksums.

    It goes by the packed length where ours goes by the other, and reads nothing, into memory as it was, of what has
    the bit of a folder.
    """
    lengths = item.compress_type == zipfile.ZIP_STORED and item.compress_size != item.file_size
    return lengths or bool(item.external_attr & 0x10 and item.file_size)


def check_bytes(path: Path, unpacked: int, size: int) -> None:
    """Refuse a file whose bytes become much more than it holds."""
    if unpacked > min(RATIO * size + SLACK, LIMIT):
        raise InputError(
            f"{path} unpacks to {unpacked >> 20:,} MiB, but is a file of {size / 2**20:.1f}: weights hardly compress,"
            f" {LEAVE}"
        )


def check_sums(path: Path, held: zipfile.ZipFile, *, whole: bool) -> None:
    """Compare every entry with its checksum; if not `whole`, all but the numbers of tensors."""
    for item in held.infolist():
        if whole or "/data/" not in item.filename:
            for _ in pieces(path, held, item.filename):
                pass


def pieces(path: Path, held: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """An entry, piece by piece; at its end its checksum has been compared."""
    try:
        with held.open(name) as entry:
            while piece := entry.read(PIECE):
                yield piece
    except Exception as error:
        raise InputError(
            f"{path} is damaged: {shown(name)} is not what its checksum says ({_shown_error(error)}):"
            f" copy it again, or {LEAVE}"
        ) from error
