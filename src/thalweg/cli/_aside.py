"""What the user's files print goes to standard error, so that standard output holds the document alone."""

import atexit
import ctypes
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class _Aside(io.TextIOBase):
    """Stands in the place of standard output; closing it closes nothing."""

    encoding, errors = "utf-8", "backslashreplace"

    def write(self, text: str, /) -> int:
        """To standard error, wherever that is now."""
        return sys.stderr.write(text) if sys.stderr is not None else len(text)

    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def close(self) -> None:
        """Not ours to close."""

    @property
    def buffer(self) -> Any:
        return sys.stderr.buffer


@contextmanager
def aside() -> Iterator[None]:
    """Run what others wrote: all that it prints, by Python or by C, now or when this process ends, goes to standard
    error.
    """
    out, err = sys.stdout, sys.stderr
    _flush()
    kept = _turned()
    sys.stdout = cast(TextIO, _Aside())
    try:
        yield
    finally:
        _flush()  # what was printed and not yet written, while it still goes aside
        sys.stdout, sys.stderr = out, err
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
        atexit.unregister(_aside_for_good)
        atexit.register(_aside_for_good)  # the last registered runs first, before what the files have registered


def _aside_for_good() -> None:
    """As this process ends."""
    _flush()
    _turned()
    sys.stdout = cast(TextIO, _Aside())


def _turned() -> int | None:
    """Let file descriptor 1 lead to standard error; a copy of where it led, None where it was closed."""
    try:
        kept = os.dup(1)
    except OSError:
        return None
    try:
        os.dup2(2, 1)
    except OSError:  # standard error is closed: nowhere, then
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    return kept


def _flush() -> None:
    """Write what is held back, by Python and by C."""
    for stream in {id(s): s for s in (sys.stdout, sys.__stdout__)}.values():
        with suppress(Exception):
            cast(TextIO, stream).flush()
    with suppress(Exception):
        ctypes.CDLL(None).fflush(None)
