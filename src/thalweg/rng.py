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
from torch import Tensor


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


GOLDEN, FIRST, SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685  # as signed 64 bits


def uniforms(seeds: Tensor, count: int, *names: str | int) -> Tensor:
    """Uniform numbers that each seed owns: those of a seed do not depend on the seeds beside it.

    A counter is mixed, so that a million seeds need no generator each. Source: splitmix64, Steele, Lea & Flood 2014.

    Args:
        seeds: (B,) whole numbers.
        count: K, of each seed.
        names: what the numbers are for.

    Returns:
        (B, K) float64 in (0, 1).
    """
    own = _mixed(_mixed(seeds.to(torch.int64) * GOLDEN + torch.tensor(seed_of(0, *names)) * SECOND))
    counter = torch.arange(1, count + 1, device=seeds.device) * GOLDEN
    bits = _mixed(own[:, None] + counter)
    return ((bits >> 11 & (1 << 53) - 1).to(torch.float64) + 0.5) / (1 << 53)


def _mixed(bits: Tensor) -> Tensor:
    """The finalizer of splitmix64, on int64 that wraps."""
    bits = (bits ^ (bits >> 30 & (1 << 34) - 1)) * FIRST
    bits = (bits ^ (bits >> 27 & (1 << 37) - 1)) * SECOND
    return bits ^ (bits >> 31 & (1 << 33) - 1)


__all__ = ["seed_of", "seeded", "stream", "uniforms"]
