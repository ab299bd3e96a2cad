"""Runtime: files written whole or not at all, the one pool of workers, cores and memory, finite numbers for JSON."""

from thalweg.runtime.files import atomic_write, remove, temporary
from thalweg.runtime.machine import cores, memory_left
from thalweg.runtime.numbers import all_finite, finite
from thalweg.runtime.pool import Here, Workers, ended, outcome, pool

__all__ = [
    "Here",
    "Workers",
    "all_finite",
    "atomic_write",
    "cores",
    "ended",
    "finite",
    "memory_left",
    "outcome",
    "pool",
    "remove",
    "temporary",
]
