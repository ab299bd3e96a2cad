"""How much memory chunks take, and whether it is there."""

import torch

from thalweg.landscape import Landscape
from thalweg.runtime import memory_left
from thalweg.samplers._fold import LIMIT
from thalweg.samplers.engine import ROWS, Engine
from thalweg.samplers.run import COPIES, slab_steps
from thalweg.samplers.settings import Settings


def memory(scape: Landscape, settings: Settings, rows: int) -> int:
    """Bytes that a chunk in motion takes, about: noise, parameters and gradients, batches, activations, rows kept."""
    wide = scape.layout.width
    item = torch.finfo(scape.layout.dtype).bits // 8
    slab = slab_steps(wide, settings.block)
    sample = 0 if scape.data is None else sum(s.nbytes for s in scape.data.sample_tensors())
    full = ROWS if settings.exact else settings.batch_size
    batch = min(full, len(scape.data)) if scape.data else 0
    fold = Engine(scape, compiled=False).fold
    table = fold.bytes if fold else 0  # of each checkpoint of the chunk; and rows of them beside
    kept = table * (1 + rows // settings.chains) + min(rows * table, LIMIT)
    return rows * (item * wide * (slab + COPIES) + batch * (16 * sample + 64 * item * 64)) + kept


def spare_memory(chunk: int, budget: int | None) -> int:
    """Bytes that are left beside what this process holds: of the budget, or of half of what is free.

    Raises:
        InputError: a chunk of so many bytes does not fit.
    """
    remedy = "give more with --memory, or a smaller model or batch_size"
    return memory_left(chunk, budget, what="one chunk", remedy=remedy)


def check_memory(weights: int, item: int, held: int, budget: int | None) -> None:
    """Refuse what cannot fit into the memory that was given, before anything is allocated for it.

    Args:
        weights: that move.
        item: bytes of one.
        held: bytes that are copied beside them.
        budget: bytes for all processes together; None leaves it to be seen later.

    Raises:
        InputError: what this process holds already, and one replica that moves step by step, are more than that.
    """
    if budget is not None:
        spare_memory(item * weights * (1 + COPIES) + held, budget)
