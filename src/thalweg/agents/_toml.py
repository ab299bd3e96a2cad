"""TOML that others wrote, bounded before it is parsed: `tomllib` takes time as the square of a key's dots.

Strings and comments are taken out first, by the rules of TOML, so that what is counted are marks of the language.
Where the text is no TOML the parser stops at the first fault, and up to there both read the same.
"""

import re
import tomllib
from itertools import accumulate
from pathlib import Path
from typing import Any

from thalweg.agents._reading import text
from thalweg.errors import InputError, first_line

BYTES = 2 * 2**20  # of a file at most: a map of a million cells, and a line for each row
MARKS = 20_000  # = [ { , . and \ at most
DEPTH = 8  # parts of a key, and brackets in brackets, at most
LONGEST = 300  # characters of a bare key or a number at most
QUIET = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"(?!""))*+(?:"{3,5}+|\Z|\\\Z)'
    r"|'''(?:[^']++|'(?!''))*+(?:'{3,5}+|\Z)"
    r'|"(?:[^"\\\n]++|\\[^\n])*+"?+'
    r"|'[^'\n]*+'?+"
    r"|#[^\n]*+"
)  # strings that never end run to the end, so that no text is read twice
TOO_LONG = re.compile(rf"[^\s=,\[\]{{}}]{{{LONGEST + 1}}}")
TURN = {"[": 1, "{": 1, "]": -1, "}": -1}


def parsed(path: Path) -> dict[str, Any]:
    """A TOML file, not too large, nor of too many marks, nor too deep for an agent's."""
    told = text(path, BYTES)
    _check(path, told)
    try:
        return tomllib.loads(told)
    except (ValueError, RecursionError) as error:  # numbers of too many digits are plain ValueErrors
        line = first_line(error)  # with what a key holds
        raise InputError(f"{path}: not TOML: {line if line.isprintable() else repr(line)}") from error


def _check(path: Path, told: str) -> None:
    """Refuse what would take long, or much memory."""
    bare = QUIET.sub("s", told)
    dots = max(part.count(".") for part in re.split(r"[=,{}\[\]\n]", bare))
    if dots >= DEPTH:
        raise InputError(f"{path}: not TOML of an agent: a key of {dots + 1:,} parts: give at most {DEPTH}")
    marks = told.count("\\") + sum(map(bare.count, "=[{,."))
    if marks > MARKS:
        raise InputError(f"{path}: not TOML of an agent: {marks:,} keys, brackets and commas: give at most {MARKS:,}")
    if TOO_LONG.search(bare):
        raise InputError(
            f"{path}: not TOML of an agent: a key or number of more than {LONGEST} characters: shorten it"
        )
    deep = max(accumulate((TURN[mark] for mark in re.findall(r"[\[\]{}]", bare)), initial=0))
    if deep > DEPTH:
        raise InputError(f"{path}: not TOML of an agent: brackets {deep:,} deep: give at most {DEPTH}")
