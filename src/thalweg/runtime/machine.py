"""What this process may use of the machine: cores and memory."""

import os

import psutil

from thalweg.errors import InputError


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_left(needed: int, budget: int | None, *, what: str, remedy: str) -> int:
    """Bytes that are left of the budget beside what this process holds, or half of what is free.

    Args:
        needed: bytes, at least.
        budget: bytes for all processes together, or None.
        what: needs them, for the message.
        remedy: where they are more than is left.

    Raises:
        InputError: what is needed is more.
    """
    if budget is None:
        left, told = psutil.virtual_memory().available // 2, "half of the free memory"
    else:
        holds = psutil.Process().memory_info().rss
        left, told = budget - holds, f"memory of {budget >> 20} MiB, of which this process holds {holds >> 20},"
    if left < needed:
        raise InputError(f"{told} is too small, {what} needs about {needed >> 20} MiB: {remedy}")
    return left
