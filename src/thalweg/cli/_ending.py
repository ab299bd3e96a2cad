"""How the command ends: with an exit code, and one line on standard error whatever was raised.

What others wrote runs inside the command: it may raise anything, print anywhere, and press no key and yet raise
`KeyboardInterrupt`. `THALWEG_DEBUG=1` shows the traceback.
"""

import _thread
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from thalweg.errors import ThalwegError, one_line, said

DEBUG = "THALWEG_DEBUG"
WRONG, STOPPED, UNREAD = 2, 130, 141  # as shells report Ctrl-C, and a pipe that nobody reads
PATIENCE = 5.0  # seconds in which what runs ends after Ctrl-C, or has swallowed it
HERE, PLAIN = Path(__file__).parent.parent, warnings.formatwarning
UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # of click, wherever typer keeps it


def ended(run: Callable[[], None]) -> int:
    """Run the command, and give its exit code; what is wrong is said on standard error."""
    with _keys() as pressed, _short_warnings():
        try:
            run()
            if sys.stdout is not None:
                sys.stdout.flush()
        except typer.Exit as error:
            return error.exit_code
        except BaseException as error:
            return _wrong(error, interrupted=pressed(error))
    return 0


def _warned(message: Any, category: type, filename: str, *place: Any) -> str:
    """A warning of ours is one line; another's says where it comes from, as it always does."""
    if Path(filename).is_relative_to(HERE):
        return one_line(f"thalweg: {message}") + "\n"
    return PLAIN(message, category, filename, *place)


def _wrong(error: BaseException, *, interrupted: bool) -> int:
    """Say what was raised, and give the exit code."""
    if os.environ.get(DEBUG, "0") not in ("", "0"):
        traceback.print_exception(error)
    if interrupted or isinstance(error, typer.Abort):
        return STOPPED
    if isinstance(error, BrokenPipeError):
        _unplug()
        return UNREAD
    told = _words(error)
    if told:
        _tell(f"thalweg: {told}")
    return WRONG


def _words(error: BaseException) -> str:
    """What was wrong, and what to do; nothing where the help was shown."""
    if isinstance(error, UsageError):
        told = " ".join(error.format_message().split()).rstrip(".")  # pyright: ignore[reportAttributeAccessIssue]
        context = getattr(error, "ctx", None)
        command = "thalweg" if context is None else context.command_path
        return told and f"{told}: see {command} --help"
    if isinstance(error, ThalwegError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        if error.filename is None:
            _unplug()
        return f"{error.filename or 'standard output'}: {error.strerror}: give a place that can be written"
    return f"{said(error)}: {DEBUG}=1 shows where it was raised"


def _tell(line: str) -> None:
    """One line on standard error, also where what ran has closed it or put something else in its place."""
    line = one_line(line) + "\n"
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except Exception:
        with suppress(OSError):
            os.write(2, line.encode("utf-8", "backslashreplace"))


def _unplug() -> None:
    """Let nothing more be written to a standard output that takes nothing, else Python complains as it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Ours are one line meanwhile."""
    warnings.formatwarning = _warned
    try:
        yield
    finally:
        warnings.formatwarning = PLAIN


def _press() -> None:
    """Ctrl-C for the main thread, which it wakes where the system can."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


@contextmanager
def _keys() -> Iterator[Callable[[BaseException], bool]]:
    """Know whether Ctrl-C was pressed: what runs inside may raise the same, or swallow it: then it hears it again."""
    before, pressed, over = signal.getsignal(signal.SIGINT), [], threading.Event()

    def note(number: int, frame: object) -> None:
        if not pressed:
            threading.Thread(target=insist, daemon=True).start()
        pressed.append(number)
        raise KeyboardInterrupt

    def insist() -> None:
        while not over.wait(PATIENCE):
            _press()

    ours = threading.current_thread() is threading.main_thread() and before is signal.default_int_handler
    if not ours:  # someone else listens, and knows better
        yield lambda error: isinstance(error, KeyboardInterrupt) and before is not signal.SIG_IGN
        return
    hook = sys.unraisablehook

    def quiet(args: Any) -> None:
        if not (pressed and args.exc_type is KeyboardInterrupt):  # which came while something was being deleted
            hook(args)

    signal.signal(signal.SIGINT, note)
    sys.unraisablehook = quiet
    try:
        yield lambda _: bool(pressed)
    finally:
        over.set()
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, before)
