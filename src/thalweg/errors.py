"""What goes wrong, in two kinds: the input is wrong, or an estimate is unhealthy."""

from collections.abc import Iterator
from contextlib import contextmanager

FIT = "do the data fit the module, and its outputs the loss? (torch wants sequences of logits as (B, classes, T))"


class ThalwegError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ThalwegError, ValueError):
    """The input is wrong. The message is one line: the thing, and what to do about it."""


class UnhealthyError(ThalwegError):
    """The value of an unhealthy estimate was asked for; `.raw` holds the number."""


@contextmanager
def guarded(what: str, remedy: str = FIT) -> Iterator[None]:
    """Run the user's own code; what it raises is wrong input, said in one line.

    Raises:
        InputError: whatever was raised, by name.
    """
    try:
        yield
    except ThalwegError:
        raise
    except Exception as error:
        raise InputError(f"{what} failed: {type(error).__name__}: {first_line(error)}: {remedy}") from error


def first_line(error: BaseException) -> str:
    """What an error says, short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
