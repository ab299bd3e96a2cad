"""One thread a process: two of them on a machine that others use wait for each other, and take many times as long.

Processes are what we have in parallel. Imports nothing heavy: torch is set where it is there, and reads the
variables where it is not.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def environment(count: int) -> dict[str, str]:
    """Variables that give a process so many threads in all that it loads: torch, and what NumPy and SciPy bring."""
    return dict.fromkeys(VARIABLES, str(count))


def claim_process() -> None:
    """One thread for what this process will load, for good; for a process that is ours alone."""
    os.environ.update(environment(1))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run a block on a number of torch threads, then go back."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else count
    try:
        if torch:
            torch.set_num_threads(count)
        yield
    finally:
        if torch:
            torch.set_num_threads(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block on one thread, in torch and in what NumPy and SciPy have loaded; then as before."""
    with threadpool_limits(limits=1), threads(1):
        yield
