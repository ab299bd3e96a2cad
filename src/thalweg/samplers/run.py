"""Chunks of replicas, moved by blocks of steps with explicit state.

A replica is one chain of one checkpoint. Its random numbers are named by the seed, the checkpoint's
step, its chain and the slab of steps, so that they do not depend on who moves beside it, and a
block can be run anywhere, any time, by whoever holds the state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.landscape import Center, Landscape
from thalweg.rng import stream
from thalweg.samplers import sgld
from thalweg.samplers.engine import Engine, width
from thalweg.samplers.settings import Settings
from thalweg.samplers.sgld import State
from thalweg.types import Params

BLOCK = 128  # steps between two saved states
SLAB = 1 << 20  # normal draws held for a replica at a time


@dataclass(frozen=True, eq=False)
class Chunk:
    """Replicas that move together.                                                 R replicas

    Attributes:
        centers: the checkpoints that the replicas belong to.
        which: (R) the checkpoint of each replica, an index into `centers`.
        names: (R) (training step of the checkpoint, chain): names the replica's streams.
    """

    centers: tuple[Center, ...]
    which: tuple[int, ...]
    names: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Block:
    """Losses seen in a block.                                                      K steps

    Attributes:
        loss: (R, K) nats per sample on each step's batch.
        excess: (R, K) the same minus the loss of w* on that batch.
    """

    loss: Tensor
    excess: Tensor


def chunks(centers: Sequence[Center], steps: Sequence[int], chains: int, at_once: int) -> list[Chunk]:
    """Cut checkpoints × chains into chunks of at most `at_once` replicas."""
    replicas = [(t, chain) for t in range(len(centers)) for chain in range(chains)]
    cut = []
    for start in range(0, len(replicas), at_once):
        part = replicas[start : start + at_once]
        used = sorted({t for t, _ in part})
        cut.append(
            Chunk(
                centers=tuple(centers[t] for t in used),
                which=tuple(used.index(t) for t, _ in part),
                names=tuple((steps[t], chain) for t, chain in part),
            )
        )
    return cut


def start(chunk: Chunk) -> State:
    """Every replica at its centre."""
    return sgld.init(torch.stack([chunk.centers[t].params for t in chunk.which]))


def advance(engine: Engine, settings: Settings, chunk: Chunk, state: State) -> tuple[State, Block]:
    """Run one block: up to BLOCK steps, to the end of the chain at most.

    Args:
        engine: of the landscape that the centres lie in.
        settings: resolved.
        chunk: the replicas.
        state: from `start` or the block before.

    Returns:
        The state after the block, and what was seen in it.
    """
    scape, count = engine.scape, len(chunk.which)
    rows = width(scape)
    which = torch.tensor(chunk.which + (chunk.which[0],) * (rows - count))
    fixed, frozen = _fixed(chunk, which, settings, scape), _frozen(chunk, which)
    params = torch.cat([state.params, state.params[:1].expand(rows - count, -1)])
    slab = slab_steps(params.shape[1])
    end = min(state.step + BLOCK, settings.steps)
    losses, excess = [], []
    # Serial steps need autograd inside; the others save its bookkeeping.
    with torch.no_grad() if scape.engine == "serial" else torch.inference_mode():
        for first in range(state.step, end, slab):
            noise, batch = _draw(chunk, settings, scape, first // slab, slab, rows)
            taken = min(slab, end - first)
            seen = []
            for j in range(taken):
                params, loss = engine.advance(params, noise[:, j], batch[:, j], fixed, frozen)
                seen.append(loss)
            loss = torch.stack(seen, 1)[:count]
            losses.append(loss)
            excess.append(loss - _baseline(chunk, batch[:count, :taken]))
    return State(params[:count].clone(), end), Block(torch.cat(losses, 1), torch.cat(excess, 1))


def slab_steps(weights: int) -> int:
    """Steps whose noise is drawn in one call: a power of two that divides BLOCK, by D alone.

    Draws of another shape are other numbers, so it may depend on nothing else.
    """
    return max(1, min(BLOCK, 1 << ((SLAB // max(weights, 1)).bit_length() - 1) if weights <= SLAB else 1))


def memory(scape: Landscape, settings: Settings) -> int:
    """Bytes that a chunk in motion takes, about: noise, parameters and gradients, batches, activations."""
    rows, wide = width(scape), scape.layout.width
    item = torch.finfo(scape.layout.dtype).bits // 8
    sample = 0 if scape.data is None else sum(s.nbytes for s in scape.data.sample_tensors())
    batch = min(settings.batch_size, len(scape.data)) if scape.data else 0
    return rows * (item * wide * (slab_steps(wide) + 14) + batch * (16 * sample + 64 * item * 64))


def _draw(
    chunk: Chunk, settings: Settings, scape: Landscape, slab: int, steps: int, rows: int
) -> tuple[Tensor, Tensor]:
    """Noise (R, J, D) and sample numbers (R, J, B) of one slab; padding rows get zeros."""
    layout, samples = scape.layout, 0 if scape.data is None else len(scape.data)
    size = min(settings.batch_size, samples)
    noise = torch.zeros(rows, steps, layout.width, dtype=layout.dtype, device=scape.device)
    batch = torch.zeros(rows, steps, size, dtype=torch.long, device=scape.device)
    whole = torch.arange(samples, device=scape.device)
    for r, (checkpoint, chain) in enumerate(chunk.names):
        own = stream(settings.seed, "sgld", checkpoint, chain, slab, device=scape.device)
        if samples > size:
            torch.randint(samples, (steps, size), generator=own, out=batch[r])
        elif samples:
            batch[r] = whole
        noise[r].normal_(generator=own)
    return noise, batch


def _fixed(chunk: Chunk, which: Tensor, settings: Settings, scape: Landscape) -> tuple[Tensor, ...]:
    """Centre, normal, nbeta, gamma and step size of every row."""
    center = torch.stack([c.params for c in chunk.centers])[which]
    normal = center.new_zeros(len(which), 0)
    if scape.restriction.orthogonal_to_gradient:
        normal = torch.stack([c.normal for c in chunk.centers])[which]
    numbers = (settings.nbeta or math.nan, settings.gamma, settings.step_size or math.nan)  # both resolved
    return center, normal, *(center.new_full((len(which), 1), number) for number in numbers)


def _frozen(chunk: Chunk, which: Tensor) -> Params:
    """Buffers and frozen parameters of every row."""
    names = chunk.centers[0].frozen
    return {k: torch.stack([c.frozen[k] for c in chunk.centers])[which] for k in names}


def _baseline(chunk: Chunk, batch: Tensor) -> Tensor:
    """(R, J) loss of w* on each step's batch."""
    if batch.shape[2] == 0:
        return torch.stack([chunk.centers[t].losses for t in chunk.which])
    return torch.stack([chunk.centers[t].losses[b].mean(1) for t, b in zip(chunk.which, batch, strict=True)])
