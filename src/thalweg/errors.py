"""What goes wrong, in two kinds: the input is wrong, or an estimate is unhealthy."""

from collections.abc import Iterator
from contextlib import contextmanager

FIT = "do the data fit the module, and its outputs the loss? (torch wants sequences of logits as (B, classes, T))"


MOST = 1000  # characters of a message: names of files and tensors in it may be others' work
SHOWN = 60  # characters of a name in a message


class ThalwegError(Exception):
    """Base of every error that this package raises on purpose. Its message is one printable line, not too long."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class InputError(ThalwegError, ValueError):
    """The input is wrong. The message is one line: the thing, and what to do about it."""


class UnhealthyError(ThalwegError):
    """The value of an unhealthy estimate was asked for; `.raw` holds the number."""


@contextmanager
def guarded(what: str, remedy: str = FIT) -> Iterator[None]:
    """Run the user's own code; what it raises is wrong input, said in one line.

    Also what no one should raise: a `SystemExit` in a forward pass would end the program as if all were done. Ctrl-C
    alone passes.

    Raises:
        InputError: whatever was raised, by name.
    """
    try:
        yield
    except (ThalwegError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(f"{what} failed: {said(error)}: {remedy}") from error


def one_line(text: str, most: int = MOST) -> str:
    """A text as one printable line: breaks become spaces, all else that does not print is escaped, long is cut.

    Cut in the middle, for what is wrong stands at the beginning and what to do about it at the end.
    """
    if len(text) > most:
        text = _cut(text, most)
    parts = [part.strip() for part in text.splitlines()] if len(text.splitlines()) > 1 else [text.rstrip("\r\n")]
    line = " ".join(part for part in parts if part)
    if line.isprintable():
        return line
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return _cut(escaped, most)


def _cut(text: str, most: int) -> str:
    """At most so many characters of a text, from both its ends."""
    head = most * 2 // 3
    return text if len(text) <= most else f"{text[:head]}…{text[len(text) - (most - head - 1) :]}"


def shown(name: str) -> str:
    """A name that others gave, as it may stand in a message of one line."""
    return name if name.isprintable() and len(name) <= SHOWN else repr(name[:SHOWN])


def said(error: BaseException) -> str:
    """An error's kind and what it says, short; its kind alone where it says nothing."""
    kind, words = type(error).__name__, first_line(error)
    return kind if words == kind else f"{kind}: {words}"


def first_line(error: BaseException) -> str:
    """What an error says, short; its kind where it says nothing, or fails to."""
    try:
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    except BaseException:  # words are the raiser's own code too
        return type(error).__name__


__all__ = [
    "MOST",
    "SHOWN",
    "InputError",
    "ThalwegError",
    "UnhealthyError",
    "first_line",
    "guarded",
    "one_line",
    "said",
    "shown",
]
