"""Independent parts of a study in as many processes as there are cores; the processes stay for the next part."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from loky import get_reusable_executor


def spread(work: Callable[..., Any], *columns: Iterable[Any]) -> Iterator[Any]:
    """`map`, in order, all begun at once; what goes in and out is pickled."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {"OMP_NUM_THREADS": "1", "MKL_CBWR": os.environ.get("MKL_CBWR", "")}
    return get_reusable_executor(cores, env=environment).map(work, *columns)
