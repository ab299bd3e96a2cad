"""Where tasks run: worker processes of one torch thread each, or this process.

Two torch threads in one process are slower than two processes of one, and collapse when the machine
is shared. A survey that fits into one chunk, and a machine of one core, stay in this process.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psutil

from thalweg.errors import InputError
from thalweg.estimators import BATCH
from thalweg.processes import Birth, Workers
from thalweg.samplers import Settings, least_memory, memory, width
from thalweg.survey import work
from thalweg.survey.work import Job, Worker
from thalweg.tree import leaves

PROCESS = 350 << 20  # bytes of a process that has imported torch and nothing else
# Freed blocks stay with the process: giving them back costs a page fault for every page, every step.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
SHORT = 8000  # steps of chunks that are over before workers have started


class InProcess:
    """Does each task when it is handed in."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        """Run it now."""
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future

    def __enter__(self) -> "InProcess":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was started."""


class Pool:
    """An executor together with the tasks of a survey.

    Attributes:
        workers: processes that work; 1 is this process.
        depth: tasks to keep handed out; twice the workers, so that none waits for the next.
    """

    def __init__(self, job: Job, workers: int) -> None:
        """Start the workers; one or none means this process."""
        self.workers = max(1, workers)
        self.depth = 2 * workers if workers > 1 else 1
        if workers > 1:
            environment = {
                "MKL_CBWR": os.environ.get("MKL_CBWR", ""),
                "OMP_NUM_THREADS": str(job.settings.threads),
                **KEEP_MEMORY,
            }
            self.executor: Workers | InProcess = Workers(workers, environment, Birth(work.enter, job))
            self.settle: Callable = work.settle
            self.read: Callable = work.read
            self.move: Callable = work.move
        else:
            worker = Worker(job)
            self.executor, self.read, self.move = InProcess(), worker.read, worker.move
            self.settle = worker.settle

    def __enter__(self) -> "Pool":
        self.executor.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.executor.__exit__(*raised)


def workers_for(job: Job, chunks: int, asked: int | None, budget: int | None) -> int:
    """How many worker processes: as many as cores, chunks and memory allow.

    Args:
        job: what they would do.
        chunks: how many there are to move.
        asked: by the user, or None.
        budget: bytes for all processes together; default half of the free memory.

    Raises:
        InputError: not even one chunk fits into the budget.
    """
    if asked is not None and asked < 1:
        raise InputError(f"workers = {asked}: give at least 1, which stays in this process")
    each = _each(job)
    left = _left(each, budget)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    short = isinstance(job.settings, Settings) and chunks * job.settings.steps < SHORT
    wanted = asked if asked is not None else 1 if short else max(1, cores // job.settings.threads)
    fitting = left // (PROCESS + _shared(job) + each)
    count = min(wanted, chunks, max(1, fitting))
    return count if count > 1 else 1


def check_memory(weights: int, item: int, held: int, budget: int | None) -> None:
    """Refuse what cannot fit into the memory that was given, before anything is allocated for it.

    Args:
        weights: that move.
        item: bytes of one.
        held: bytes that are copied beside them.
        budget: bytes for all processes together; None leaves it to be seen later.

    Raises:
        InputError: what this process holds already, and one replica, are more than that.
    """
    if budget is not None:
        _left(least_memory(weights, item) + held, budget)


def _left(needed: int, budget: int | None) -> int:
    """Bytes that are left of the budget beside what this process holds, or half of what is free.

    Raises:
        InputError: what is needed is more.
    """
    if budget is None:
        left, told = psutil.virtual_memory().available // 2, "half of the free memory"
    else:
        holds = psutil.Process().memory_info().rss
        left, told = budget - holds, f"memory of {budget >> 20} MiB, of which this process holds {holds >> 20},"
    if left < needed:
        raise InputError(
            f"{told} is too small, one chunk needs about {needed >> 20} MiB: give more with --memory, or a smaller"
            " model or batch_size"
        )
    return left


def _shared(job: Job) -> int:
    """Bytes of what every worker has a copy of: module, data, test data."""
    scape = job.landscape
    held = [*scape.params.values(), *scape.frozen.values()]
    for data in (scape.data, job.test):
        held += [] if data is None else [*leaves(data.inputs), data.targets]
    return sum(tensor.nbytes for tensor in held)


def _each(job: Job) -> int:
    """Bytes of what one worker moves at a time."""
    if isinstance(job.settings, Settings):
        return memory(job.landscape, job.settings, width(job.landscape))
    sampler = "hmc" if job.settings.full_gradient else "sghmc"
    return memory(job.landscape, Settings(sampler=sampler, batch_size=BATCH), job.settings.chains or 1)
