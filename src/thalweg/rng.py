"""Random streams: a seed and names make a stream; nothing else is random anywhere.

Torch seeds its Mersenne twister with 32 bits (two seeds that agree in them give one stream), so a
stream is a short-lived thing: one for each replica and slab of steps, named by both. Of N streams a
share of N / 2^32 meets a namesake somewhere in the run, too few to show in any estimate.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(seed: int, *names: str | int) -> int:
    """Mix a seed and names into 32 bits by SHA-256."""
    text = json.dumps([int(seed), *names], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def stream(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make the stream of these names, at its start.

    Args:
        seed: of the whole run.
        names: what the stream is for, e.g. `"chain", 3`.
        device: where the draws are made.
    """
    return torch.Generator(device=device).manual_seed(seed_of(seed, *names))


@contextmanager
def seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Run a block that draws from torch's global stream (a module's initialisation) on one of ours.

    The global stream is put back as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, *names))
        yield
