"""Runtime: files written whole or not at all, workers, cores, threads and memory, finite numbers for JSON."""

from thalweg.runtime.files import atomic_write, remove, temporary
from thalweg.runtime.machine import cores, memory_left
from thalweg.runtime.numbers import all_finite, finite
from thalweg.runtime.pool import Here, Workers, ended, outcome, pool
from thalweg.runtime.threads import claim_process, one_thread, threads

__all__ = [
    "Here",
    "Workers",
    "all_finite",
    "atomic_write",
    "claim_process",
    "cores",
    "ended",
    "finite",
    "memory_left",
    "one_thread",
    "outcome",
    "pool",
    "remove",
    "temporary",
    "threads",
]
