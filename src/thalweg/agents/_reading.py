"""Files that others wrote, hostile until read: names, text and tables, with limits, from one folder alone."""

import csv
from array import array
from pathlib import Path
from typing import TextIO

import numpy as np

from thalweg.errors import SHOWN, InputError, guarded, shown

BYTES = 256 * 2**20  # of a file at most
ROWS = 10_000_000  # of a table at most
LINE = 1000  # characters of a line of a table at most
NAME = 200  # characters of a file's name at most
NAMED = 10  # names in a message at most


def listed(names: list[str]) -> str:
    """Some of them, in order."""
    return ", ".join(shown(name) for name in sorted(names)[:NAMED]) or "none"


def inside(beside: Path, name: str) -> Path:
    """A file in the folder of another, or below; refused where it lies elsewhere, by a link too."""
    if len(name) > NAME or not name.isprintable():
        raise InputError(f"{beside}: the name {name[:SHOWN]!r}: give at most {NAME} printable characters")
    with guarded(f"{beside}: the name {name!r}", "give the name of a file beside the agent's"):
        folder = beside.resolve().parent
        path = (folder / name).resolve()
        exists = path.is_file()
    if not path.is_relative_to(folder):
        raise InputError(f"{beside}: {name!r} lies outside its folder: put it beside the agent's file")
    if not exists:
        raise InputError(f"{path}: no such file")
    return path


def checked_size(path: Path, most: int) -> None:
    """Refuse what is no file, and what is too large."""
    with guarded(f"{path}: reading", "give a file that can be read"):
        there, size = path.is_file(), path.stat().st_size if path.is_file() else 0
    if not there:
        raise InputError(f"{path}: no such file")
    if size > most:
        raise InputError(f"{path}: {size / 2**20:.1f} MiB: give at most {most >> 20}")


def text(path: Path, most: int = BYTES) -> str:
    """A file as text, without the mark that some programs put first."""
    checked_size(path, most)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a file that can be read") from error


def whole_numbers(path: Path, columns: tuple[str, ...], passed: tuple[str, ...] = ()) -> tuple[np.ndarray, bool]:
    """(rows, columns) int64 of a CSV, and whether it has a column that is passed over.

    Each line is a row, no field goes over several.
    """
    checked_size(path, BYTES)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _numbers(path, file, columns, passed)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a file that can be read") from error


def _numbers(path: Path, file: TextIO, columns: tuple[str, ...], passed: tuple[str, ...]) -> tuple[np.ndarray, bool]:
    """Of an open file, never more than a line of it as text."""
    wanted, names, found = " and ".join(columns), [], array("q")
    for number, line in enumerate(iter(lambda: file.readline(LINE + 2), ""), 1):
        if len(line.rstrip("\r\n")) > LINE:
            raise InputError(f"{path}: line {number}: more than {LINE:,} characters: give whole numbers of {wanted}")
        try:
            cells = next(csv.reader([line], strict=True), [])
            if not names or not cells:  # the first line, or a blank one
                names = names or _checked_names(path, cells, columns, passed)
                continue
            if len(cells) != len(names):
                raise ValueError("more cells than columns, or fewer")
            row = dict(zip(names, cells, strict=True))
            found.extend([int(row[column]) for column in columns])
        except (ValueError, OverflowError, csv.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: line {number}: give whole numbers of {wanted}") from error
        if len(found) > ROWS * len(columns):
            raise InputError(f"{path}: more than {ROWS:,} rows: give fewer")
    if not found:
        names = names or _checked_names(path, [], columns, passed)
        raise InputError(f"{path}: no choice is recorded: give {wanted}, a row each")
    return np.array(found, dtype=np.int64).reshape(-1, len(columns)), any(name in names for name in passed)


def _checked_names(path: Path, names: list[str], columns: tuple[str, ...], passed: tuple[str, ...]) -> list[str]:
    """Of the columns: all that are wanted, none twice, none that nobody reads."""
    if not set(columns) <= set(names) or len(set(names)) < len(names):
        wanted = " and ".join(columns)
        raise InputError(f"{path}: columns {listed(names)}: give {wanted}, each once")
    unread = [name for name in names if name not in (*columns, *passed)]
    if unread:
        raise InputError(f"{path}: nobody reads column {shown(unread[0])}: leave it out")
    return names
