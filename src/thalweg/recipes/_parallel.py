"""Independent parts of a study in as many processes as there are cores; the processes stay for the next part."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from thalweg.runtime import Workers, cores


def in_parallel(work: Callable[..., Any], *columns: Iterable[Any]) -> Iterator[Any]:
    """`map`, in order, all begun at once; what goes in and out is pickled."""
    return Workers(cores(), lasting=True).map(work, *columns)
