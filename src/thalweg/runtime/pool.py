"""Worker processes that belong to this one. They end when it does, whatever ends it; what their tasks print goes to
standard error; and whatever goes wrong in them is one line here.

A worker watches over its parent from before it imports what takes long: `_Birth` is the first of ours that it is
given, and this room imports nothing heavy.
"""

import ctypes
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cloudpickle
import psutil
from loky import ProcessPoolExecutor, get_reusable_executor
from loky.process_executor import BrokenProcessPool

from thalweg.errors import InputError, ThalwegError, guarded, said
from thalweg.runtime.threads import environment as _threads

_PATIENCE = 0.5  # seconds between two looks at the parent, or at what was heard
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_KILLED = (
    "a worker process was killed, most often because memory ran out: what is finished is kept, run the same again"
    " with fewer workers or more memory"
)
_BROKEN = "let the module, its data and its loss be copied by pickle, and mend what they raise, or take one worker"

_fault: InputError | None = None  # why this worker could not be set up
_held: tuple[Any, ...] = ()  # what its setup made


@dataclass(frozen=True)
class _Birth:
    """What a worker process is given first, its initializer: both pickled by value each time that one is started."""

    setup: Callable[[Any], Any] | None
    argument: Any

    def __call__(self) -> None:
        """Nothing here; what a worker is given in its place sets it up (`_born`)."""

    def __reduce__(self) -> tuple[Any, ...]:
        lasting = threading.current_thread() is threading.main_thread()
        return _born, (os.getpid(), lasting, cloudpickle.dumps((self.setup, self.argument)))


class Workers:
    """Processes that run tasks until the block ends; where it ends by an exception they are killed.

    Attributes:
        count: of the processes.
        depth: tasks to keep handed out: twice as many, so that none waits for the next.
    """

    def __init__(
        self,
        count: int,
        setup: Callable[[Any], Any] | None = None,
        argument: Any = None,
        *,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
        lasting: bool = False,
    ) -> None:
        """Name them; they are started by the first task.

        Args:
            count: processes.
            setup: called in each with `argument`; what it makes is given to every task before its own arguments.
            argument: pickled by value.
            threads: of each.
            environment: further variables of theirs.
            lasting: whether the processes stay for the next who asks for as many; without a setup.
        """
        self.count, self.depth = count, 2 * count
        own = {
            "PYTHONFAULTHANDLER": "",
            **_threads(threads),
            "MKL_CBWR": os.environ.get("MKL_CBWR", ""),
            **(environment or {}),
        }
        make = get_reusable_executor if lasting else ProcessPoolExecutor
        with _interrupts_held(), _broken():
            self._executor = make(count, initializer=_Birth(setup, argument), env=own)

    def submit(self, task: Callable[..., Any], /, *args: Any) -> Future:
        """Hand out a task.

        Raises:
            InputError: no process could be started.
        """
        with _interrupts_held(), guarded("starting worker processes", _BROKEN), _broken():
            return self._executor.submit(_run, task, *args)

    def map(self, task: Callable[..., Any], *columns: Iterable[Any]) -> Iterator[Any]:
        """What the task gives for each, in order, all begun at once; where one fails nobody works on.

        Raises:
            InputError: whatever a task raised, or that its worker was killed.
        """
        return self._each([self.submit(task, *given) for given in zip(*columns, strict=False)])

    def _each(self, tasks: Sequence[Future]) -> Iterator[Any]:
        """What each gives; where one fails, or Ctrl-C is pressed, the processes are killed."""
        ended = False
        try:
            for task in tasks:
                yield outcome(task)
            ended = True
        finally:
            if not ended:
                self._executor.shutdown(kill_workers=True)

    def __enter__(self) -> "Workers":
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()
        warnings.filterwarnings("ignore", module="loky")  # of workers that are started anew, which is our doing
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            self._executor.shutdown(wait=True, kill_workers=kind is not None)
        finally:
            self._quiet.__exit__(None, None, None)


class Here:
    """The same in this process: each task is done when it is handed in."""

    count = depth = 1

    def __init__(self, setup: Callable[[Any], Any] | None = None, argument: Any = None) -> None:
        """Set up at once."""
        self._held = () if setup is None else (setup(argument),)

    def submit(self, task: Callable[..., Any], /, *args: Any) -> Future:
        """Run it now."""
        future: Future = Future()
        try:
            future.set_result(task(*self._held, *args))
        except Exception as error:
            future.set_exception(error)
        return future

    def map(self, task: Callable[..., Any], *columns: Iterable[Any]) -> Iterator[Any]:
        """What the task gives for each, one after the other as they are asked for."""
        return (task(*self._held, *given) for given in zip(*columns, strict=False))

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""


def pool(
    count: int,
    setup: Callable[[Any], Any] | None = None,
    argument: Any = None,
    *,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Workers | Here:
    """Where tasks run: as many worker processes, or this process where that is one; arguments as of `Workers`.

    Two torch threads in one process are slower than two processes of one, and collapse when the machine is shared.
    """
    if count <= 1:
        return Here(setup, argument)
    return Workers(count, setup, argument, threads=threads, environment=environment)


def outcome(future: Future) -> Any:
    """What a task gave back.

    Raises:
        InputError: whatever it raised, or that its worker was killed.
    """
    while not future.done():  # looking up now and then: Ctrl-C may reach a thread that cannot wake this one
        wait([future], timeout=_PATIENCE)
    with _broken():
        return future.result()


def ended(running: Collection[Future]) -> tuple[list[Future], list[Future]]:
    """Wait for a task: those that gave something, and those that raised."""
    found: set[Future] = set()
    while not found:  # as in `outcome`
        found, _ = wait(running, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
    failed = [future for future in found if future.exception() is not None]
    return [future for future in found if future not in failed], failed


@contextmanager
def _broken() -> Iterator[None]:
    """Say in one line that workers are gone."""
    try:
        yield
    except BrokenProcessPool as error:
        raise InputError(_KILLED) from error


def _run(task: Callable[..., Any], *args: Any) -> Any:
    """A task in a worker: there nothing may be raised that cannot be pickled, or that would end this process."""
    if _fault is not None:
        raise _fault
    try:
        return task(*_held, *args)
    except ThalwegError:
        raise
    except BaseException as error:
        raise InputError(f"a worker process failed: {said(error)}: {_BROKEN}") from error


def _born(parent: int, lasting: bool, content: bytes) -> Callable[[], None]:
    """In a worker that is being started: bind it to its parent, then give what will set it up."""
    _bind(parent, lasting)
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
    os.dup2(2, 1)
    return lambda: _set_up(content)


def _set_up(content: bytes) -> None:
    """Never raises: a worker whose initializer does ends with a traceback."""
    global _fault, _held
    try:
        setup, argument = cloudpickle.loads(content)
        _held = () if setup is None else (setup(argument),)
    except ThalwegError as error:
        _fault = InputError(str(error))
    except BaseException as error:
        _fault = InputError(f"a worker process could not be set up: {said(error)}: {_BROKEN}")


def _bind(parent: int, lasting: bool) -> None:
    """End this process within a second of its parent's end.

    Args:
        parent: its number.
        lasting: whether the thread that started us lasts as long as the process. Linux then kills us with it, also
            where our own thread cannot run since a computation in C does not let it.
    """
    if lasting and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """Wait for the parent's end."""
    known = None if os.name == "posix" else psutil.Process(parent)
    while os.getppid() == parent if known is None else known.is_running():
        time.sleep(_PATIENCE)
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started, which inherit that they do not hear it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
