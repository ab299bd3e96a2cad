"""Files that others wrote, hostile until read: text, tables and arrays, with limits, from one folder alone."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np

from thalweg.errors import InputError, guarded

BYTES = 256 * 2**20  # of a file, and of all arrays in it unpacked, at most
ROWS = 10_000_000  # of a table at most


def inside(beside: Path, name: str) -> Path:
    """A file in the folder of another, or below.

    Raises:
        InputError: it lies elsewhere, by a link too, or is none.
    """
    with guarded(f"{beside}: the name {name[:80]!r}", "give the name of a file beside the agent's"):
        folder = beside.resolve().parent
        path = (folder / name).resolve()
        exists = path.is_file()
    if not path.is_relative_to(folder):
        raise InputError(f"{beside}: {name!r} lies outside its folder: put it beside the agent's file")
    if not exists:
        raise InputError(f"{path}: no such file")
    return path


def text(path: Path) -> str:
    """A file as text, without the mark that some programs put first.

    Raises:
        InputError: no file, too large, not UTF-8.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > BYTES:
        raise InputError(f"{path}: {path.stat().st_size >> 20} MiB: give at most {BYTES >> 20}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not UTF-8 text") from error


def whole_numbers(path: Path, columns: tuple[str, ...]) -> np.ndarray:
    """(rows, columns) int64 of a CSV.

    Raises:
        InputError: a column that is missing, a field that is no whole number, by its line; no row, too many.
    """
    rows, wanted, found = csv.DictReader(io.StringIO(text(path), newline="")), " and ".join(columns), []
    line = 1
    try:
        names = rows.fieldnames or ()
        if not set(columns) <= set(names) or len(set(names)) < len(names):
            raise InputError(f"{path}: columns {', '.join(names) or 'none'}: give {wanted}, each once")
        for row in rows:
            line = rows.line_num
            if None in row:
                raise ValueError("more cells than columns")
            found.append([int(np.int64(int(row[column]))) for column in columns])
            if len(found) > ROWS:
                raise InputError(f"{path}: more than {ROWS:,} rows: give fewer")
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}: line {line}: give whole numbers of {wanted}") from error
    if not found:
        raise InputError(f"{path}: no choice is recorded: give {wanted}, a row each")
    return np.array(found, dtype=np.int64)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, none of them pickled, float64.

    Raises:
        InputError: no such file, arrays that are too large, hold objects, or say that they are what they are not.
    """
    with guarded(f"{path}: reading the arrays", "give an .npz of plain numbers, as numpy.savez writes it"):
        with zipfile.ZipFile(path) as held:
            size = sum(item.file_size for item in held.infolist())
            if size > BYTES:
                raise InputError(f"{path}: {size / 2**20:.0f} MiB unpacked: give at most {BYTES >> 20}")
            for item in held.infolist():
                _check(path, held, item)
        with np.load(path, allow_pickle=False) as held, np.errstate(over="ignore"):  # of a wider float
            return {key: held[key].astype(np.float64) for key in held.files}


def _check(path: Path, held: zipfile.ZipFile, item: zipfile.ZipInfo) -> None:
    """Refuse an array of objects, and one whose header asks for more than it holds."""
    with held.open(item) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        asked = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.kind not in "fiub":
        raise InputError(f"{path}: array {item.filename.removesuffix('.npy')!r} holds {dtype}: give plain numbers")
    if asked > item.file_size:
        raise InputError(f"{path}: array {item.filename.removesuffix('.npy')!r} is cut short: write it again")


__all__ = ["arrays", "inside", "text", "whole_numbers"]
