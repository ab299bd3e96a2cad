"""Independent parts of a study in as many processes as there are cores; the processes stay for the next part."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from loky import get_reusable_executor

from thalweg.processes import Birth, broken, interrupts_held, outcome, run


def spread(work: Callable[..., Any], *columns: Iterable[Any]) -> Iterator[Any]:
    """`map`, in order, all begun at once; what goes in and out is pickled."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {"OMP_NUM_THREADS": "1", "MKL_CBWR": os.environ.get("MKL_CBWR", ""), "PYTHONFAULTHANDLER": ""}
    with interrupts_held(), broken():
        executor = get_reusable_executor(cores, env=environment, initializer=Birth())
        tasks = [executor.submit(partial(run, work), *given) for given in zip(*columns, strict=False)]
    return _each(tasks, partial(executor.shutdown, kill_workers=True))


def _each(tasks: Sequence[Future], stop: Callable[[], None]) -> Iterator[Any]:
    """What each gives; where one fails, or Ctrl-C is pressed, nobody works on."""
    ended = False
    try:
        for task in tasks:
            yield outcome(task)
        ended = True
    finally:
        if not ended:
            stop()
