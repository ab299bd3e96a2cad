"""Files that others wrote, hostile until read: text, tables and arrays, with limits, from one folder alone."""

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.errors import InputError

BYTES = 256 * 2**20  # of a file, and of all arrays in it unpacked, at most
ROWS = 10_000_000  # of a table at most
LARGEST = 2**62  # whole number of a table at most


def inside(beside: Path, name: str) -> Path:
    """A file in the folder of another, or below.

    Raises:
        InputError: it lies elsewhere, by a link too, or is none.
    """
    folder = beside.resolve().parent
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise InputError(f"{beside}: {name} lies outside its folder: put it beside the agent's file")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return path


def text(path: Path) -> str:
    """A file as text.

    Raises:
        InputError: no file, too large, not UTF-8.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > BYTES:
        raise InputError(f"{path}: {path.stat().st_size >> 20} MiB: give at most {BYTES >> 20}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text") from error


def whole_numbers(path: Path, columns: tuple[str, ...]) -> np.ndarray:
    """(rows, columns) int64 of a CSV.

    Raises:
        InputError: a column that is missing, a field that is no whole number, by its line; no row, too many.
    """
    rows = csv.DictReader(text(path).splitlines())
    wanted = " and ".join(columns)
    if not set(columns) <= set(rows.fieldnames or ()):
        raise InputError(f"{path}: columns {', '.join(rows.fieldnames or ()) or 'none'}: give {wanted}")
    found = list(_rows(path, rows, columns, wanted))
    if not found:
        raise InputError(f"{path}: no row: give {wanted}, one row each")
    return np.array(found, dtype=np.int64)


def _rows(path: Path, rows: Any, columns: tuple[str, ...], wanted: str) -> Iterator[list[int]]:
    """Each row, read."""
    for line, row in enumerate(rows, 2):
        try:
            numbers = [int(row[column]) for column in columns]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: line {line}: give whole numbers of {wanted}") from error
        if max(map(abs, numbers)) > LARGEST:
            raise InputError(f"{path}: line {line}: a number above {LARGEST}: number {wanted} from 0")
        if line > ROWS:
            raise InputError(f"{path}: more than {ROWS:,} rows: give fewer")
        yield numbers


def arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, none of them pickled, float64.

    Raises:
        InputError: no such file, arrays that are too large, hold objects, or say that they are what they are not.
    """
    try:
        with zipfile.ZipFile(path) as held:
            size = sum(item.file_size for item in held.infolist())
            if size > BYTES:
                raise InputError(f"{path}: {size / 2**20:.0f} MiB unpacked: give at most {BYTES >> 20}")
            for item in held.infolist():
                _check(path, held, item)
        with np.load(path, allow_pickle=False) as held:
            return {key: held[key].astype(np.float64) for key in held.files}
    except InputError:
        raise
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no .npz of plain numbers: write it with numpy.savez") from error


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
