"""Worker processes that belong to this one.

They end when it does, whatever ends it; what their tasks print goes to standard error; and whatever goes wrong in
them is one line here.

A worker watches over its parent from before it imports what takes long: `Birth` is the first of ours that it is
given, and this file imports nothing heavy.
"""

import ctypes
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

import cloudpickle
import psutil
from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool

from thalweg.errors import InputError, ThalwegError, guarded, said

PATIENCE = 0.5  # seconds between two looks at the parent, or at what was heard
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
KILLED = (  # what is said then
    "a worker process was killed, most often because memory ran out: what is finished is kept, run the same again"
    " with fewer workers or more memory"
)
BROKEN = "let the module, its data and its loss be copied by pickle, and mend what they raise, or take one worker"

_fault: InputError | None = None  # why this worker could not be set up


class Birth:
    """What a worker process is given first, its initializer.

    Attributes:
        setup: called once with `argument`, both pickled by value each time that a worker is started.
    """

    def __init__(self, setup: Callable[[Any], None] | None = None, argument: Any = None) -> None:
        self.setup, self.argument = setup, argument

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Birth) and (self.setup, self.argument) == (other.setup, other.argument)

    __hash__ = object.__hash__

    def __call__(self) -> None:
        """Set up this process; what a worker is given does it there (`_born`)."""
        if self.setup is not None:
            self.setup(self.argument)

    def __reduce__(self) -> tuple[Any, ...]:
        lasting = threading.current_thread() is threading.main_thread()
        return _born, (os.getpid(), lasting, cloudpickle.dumps((self.setup, self.argument)))


class Workers:
    """Processes that run tasks until the block ends; where it ends by an exception they are killed."""

    def __init__(self, count: int, environment: Mapping[str, str], birth: Birth | None = None) -> None:
        """Name them; they are started by the first task."""
        self.executor = ProcessPoolExecutor(
            count, initializer=birth or Birth(), env={"PYTHONFAULTHANDLER": "", **environment}
        )

    def submit(self, task: Callable[..., Any], /, *args: Any) -> Future:
        """Hand out a task.

        Raises:
            InputError: no process could be started.
        """
        with interrupts_held(), guarded("starting worker processes", BROKEN), broken():
            return self.executor.submit(run, task, *args)

    def __enter__(self) -> "Workers":
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()
        warnings.filterwarnings("ignore", module="loky")  # of workers that are started anew, which is our doing
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self.executor.shutdown(wait=True, kill_workers=kind is not None)
        finally:
            self._quiet.__exit__(None, None, None)


def outcome(future: Future) -> Any:
    """What a task gave back.

    Raises:
        InputError: whatever it raised, or that its worker was killed.
    """
    while not future.done():  # looking up now and then: Ctrl-C may reach a thread that cannot wake this one
        wait([future], timeout=PATIENCE)
    with broken():
        return future.result()


@contextmanager
def broken() -> Iterator[None]:
    """Say in one line that workers are gone."""
    try:
        yield
    except BrokenProcessPool as error:
        raise InputError(KILLED) from error


def run(task: Callable[..., Any], *args: Any) -> Any:
    """A task in a worker: there nothing may be raised that cannot be pickled, or that would end this process."""
    if _fault is not None:
        raise _fault
    try:
        return task(*args)
    except ThalwegError:
        raise
    except BaseException as error:
        raise InputError(f"a worker process failed: {said(error)}: {BROKEN}") from error


def _born(parent: int, lasting: bool, content: bytes) -> Callable[[], None]:
    """In a worker that is being started: bind it to its parent, then give what will set it up."""
    _bind(parent, lasting)
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
    os.dup2(2, 1)
    return lambda: _set_up(content)


def _set_up(content: bytes) -> None:
    """Never raises: a worker whose initializer does ends with a traceback."""
    global _fault
    try:
        setup, argument = cloudpickle.loads(content)
        if setup is not None:
            setup(argument)
    except ThalwegError as error:
        _fault = InputError(str(error))
    except BaseException as error:
        _fault = InputError(f"a worker process could not be set up: {said(error)}: {BROKEN}")


def _bind(parent: int, lasting: bool) -> None:
    """End this process within a second of its parent's end.

    Args:
        parent: its number.
        lasting: whether the thread that started us lasts as long as the process. Linux then kills us with it, also
            where our own thread cannot run since a computation in C does not let it.
    """
    if lasting and sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """Wait for the parent's end."""
    known = None if os.name == "posix" else psutil.Process(parent)
    while os.getppid() == parent if known is None else known.is_running():
        time.sleep(PATIENCE)
    os._exit(1)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started, which inherit that they do not hear it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


__all__ = ["KILLED", "PATIENCE", "Birth", "Workers", "broken", "interrupts_held", "outcome", "run"]
