"""What a computation will take, said before it begins: refused where it cannot end, announced where it is long.

Announcements are lines of the logger `thalweg` at the level INFO; the command line prints them on standard error.
"""

import logging
import time
from collections.abc import Callable

from thalweg.errors import InputError

LONGEST = 30 * 60.0  # seconds that anyone waits for a number
LARGEST = 2 << 30  # bytes for one computation
SAID = 60.0  # seconds from which on it is said beforehand
LOG = logging.getLogger("thalweg")  # where announcements go
UNITS = ((365.25 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "min"), (1, "s"))


def affordable(what: str, remedy: str, *, seconds: float = 0.0, memory: float = 0.0) -> None:
    """Refuse what would take too long, or too much memory.

    Args:
        what: that is asked for, the subject of a sentence.
        remedy: what to do instead.
        seconds: that it takes at least.
        memory: bytes that it holds at least.

    Raises:
        InputError: the estimate, the limit and the remedy.
    """
    if seconds > LONGEST:
        raise InputError(f"{what} takes at least {spoken(seconds)} (limit {spoken(LONGEST)}): {remedy}")
    if memory > LARGEST:
        raise InputError(f"{what} needs {plain(memory / 2**30)} GiB (limit {LARGEST >> 30} GiB): {remedy}")


def announce(what: str, seconds: float) -> None:
    """Say that something takes up to so long, where that is long."""
    if seconds > SAID:
        LOG.info("%s: up to %s", what, spoken(seconds))


def spoken(seconds: float) -> str:
    """A time in words, to three digits."""
    size, name = next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])
    return f"{plain(seconds / size)} {name}"


def plain(number: float) -> str:
    """To three digits, with commas."""
    return f"{float(f'{number:.3g}'):,.15g}"


def seconds_of(call: Callable[[], object]) -> float:
    """How long it takes, once."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


__all__ = ["LARGEST", "LOG", "LONGEST", "affordable", "announce", "plain", "seconds_of", "spoken"]
