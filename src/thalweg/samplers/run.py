"""Chunks of replicas, moved by blocks of steps with explicit state.

A replica is one chain of one checkpoint. Its random numbers are named by the seed, the checkpoint's
step, its chain and the slab of steps, so that they do not depend on who moves beside it, and a
block can be run anywhere, any time, by whoever holds the state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError, guarded
from thalweg.landscape import Center, Landscape, LocalizedPosterior
from thalweg.rng import stream
from thalweg.samplers._target import Draw, Gradient
from thalweg.samplers.algorithm import BLOCK, Dial
from thalweg.samplers.engine import Engine
from thalweg.samplers.settings import Settings
from thalweg.types import Params

SLAB = 1 << 20  # normal draws held for a replica at a time
COPIES = 14  # of a replica's weights, while it moves
BOUND = math.sqrt(3.0)  # of a uniform number of variance 1
SEEN = ("loss", "excess", "accepted", "slope", "away")  # fields of a block


class State(NamedTuple):
    """Where a chunk stands.

    Attributes:
        carried: the fields of the sampler's own state by name, (R, ...) each; `params` alone before the
            first step.
        step: steps taken.
    """

    carried: dict[str, Tensor]
    step: int


@dataclass(frozen=True, eq=False)
class Chunk:
    """Replicas that move together.                                                 R replicas

    Attributes:
        centers: the checkpoints that the replicas belong to.
        which: (R) the checkpoint of each replica, an index into `centers`.
        names: (R) (training step of the checkpoint, chain): names the replica's streams.
        rows: the width of the matrices that they move in, at least R.
    """

    centers: tuple[Center, ...]
    which: tuple[int, ...]
    names: tuple[tuple[int, int], ...]
    rows: int


@dataclass(frozen=True, eq=False)
class Block:
    """What was seen in a block.                                                    K steps

    Attributes:
        loss: (R, K) nats per sample on each step's batch; of `tilted` and `relaxed` points without g . (w - w*).
        excess: (R, K) the same minus the loss of w* on that batch.
        accepted: (R, K) probability of acceptance; 1 where nothing is refused.
        slope: (R, K) g . (w - w*) after the step, g the gradient of the full data at w* in the open
            directions: the part of the excess that is there because w* is no minimum; zero where it is taken off.
        away: (R, K) |t (w - w*)|^2 after the step.
    """

    loss: Tensor
    excess: Tensor
    accepted: Tensor
    slope: Tensor
    away: Tensor

    @staticmethod
    def join(blocks: Sequence["Block"], axis: int = 1) -> "Block":
        """Blocks one after another in time (axis 1), or replicas one below another (axis 0)."""
        return Block(*(torch.cat([getattr(b, k) for b in blocks], axis) for k in SEEN))

    def arrays(self) -> dict[str, np.ndarray]:
        """Every field by name."""
        return {name: getattr(self, name).cpu().numpy() for name in SEEN}


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
                rows=at_once,
            )
        )
    return cut


def start(chunk: Chunk) -> State:
    """Every replica at its centre."""
    return State({"params": torch.stack([chunk.centers[t].params for t in chunk.which])}, 0)


def start_wide(chunk: Chunk, settings: Settings, scape: Landscape) -> State:
    """Every replica as wide as the localization: of variance 1/gamma in each open direction, and nowhere far beyond.

    Uniform: the tails of a normal lie where a singular landscape is so narrow that a chain hardly leaves them.
    """
    home = start(chunk).carried["params"]
    which = torch.tensor(chunk.which)
    anchor = _narrow(torch.stack([c.gradient for c in chunk.centers])[which], scape)
    noise = torch.empty_like(home)
    for row, name in zip(noise, chunk.names, strict=True):
        row.uniform_(-BOUND, BOUND, generator=stream(settings.seed, "start wide", *name, device=scape.device))
    away = _posterior(chunk, which, anchor, settings, scape).project(noise)
    return State({"params": home + away / math.sqrt(settings.gamma)}, 0)


def losses(engine: Engine, chunk: Chunk, state: State) -> Tensor:
    """(R,) mean loss of the full data where replicas stand, nats per sample, float64."""
    scape, padding = engine.scape, chunk.rows - len(chunk.which)
    which = torch.tensor(chunk.which + (chunk.which[0],) * padding)
    frozen = {k: torch.stack([c.frozen[k] for c in chunk.centers])[which] for k in chunk.centers[0].frozen}
    carried = torch.cat([state.carried["params"], state.carried["params"][:1].expand(padding, -1)])
    center = torch.stack([c.params for c in chunk.centers])[which]
    with guarded("the loss at a start"), torch.no_grad():
        return engine.gradient(frozen, None)(place(scape, center, carried))[1][: len(chunk.which)].double()


def advance(engine: Engine, settings: Settings, chunk: Chunk, state: State) -> tuple[State, Block]:
    """Run one block: up to BLOCK gradients of a replica or so, to the end of the chain at most; else as `move`."""
    return move(engine, settings, chunk, state, min(state.step + settings.block, settings.steps))


def move(
    engine: Engine,
    settings: Settings,
    chunk: Chunk,
    state: State,
    end: int,
    purpose: str | None = None,
    sizes: Tensor | None = None,
) -> tuple[State, Block]:
    """Take steps until `end` of them are taken.

    Args:
        engine: of the landscape that the centres lie in.
        settings: resolved.
        chunk: the replicas.
        state: from `start` or the steps before.
        end: steps taken in all, afterwards.
        purpose: names the streams; default the sampler.
        sizes: (R,) step sizes of the replicas, in the place of the settings' one.
    """
    scape, count, algorithm = engine.scape, len(chunk.which), settings.algorithm
    padding = chunk.rows - count
    which = torch.tensor(chunk.which + (chunk.which[0],) * padding)
    anchor = _narrow(torch.stack([c.gradient for c in chunk.centers])[which], scape)
    posterior = _posterior(chunk, which, anchor, settings, scape)
    frozen = {k: torch.stack([c.frozen[k] for c in chunk.centers])[which] for k in chunk.centers[0].frozen}
    carried = {k: torch.cat([t, t[:1].expand(padding, *t.shape[1:])]) for k, t in state.carried.items()}
    slab = slab_steps(carried["params"].shape[1], settings.block)
    dial = _dial(posterior, settings, sizes, padding)
    slope_at = posterior.project(anchor) if anchor.any() else None
    tilted = scape.restriction.tilted and slope_at is not None
    seen, base, step = [], torch.empty(0), state.step
    # Serial steps need autograd inside; the others save its bookkeeping.
    quiet = torch.no_grad if scape.engine == "serial" else torch.inference_mode
    if settings.exact or scape.data is None or settings.batch_size >= len(scape.data):
        with quiet():
            base = engine.gradient(frozen, None)(posterior.center)[1][:count, None]  # summed as the steps sum
    with guarded("a step of sampling"), quiet(), engine.block():
        while step < end:
            first = step - step % slab
            taken = range(step, min(first + slab, end))
            draws, batch = _draw(chunk, settings, scape, first // slab, slab, purpose or settings.sampler)
            columns = []
            for j in taken:
                own = None if batch is None else batch[:, j - first]
                gradient = _gradient(engine, settings, frozen, own, posterior.center, anchor)
                if len(carried) < len(algorithm.state._fields):
                    carried = algorithm.start(carried["params"], gradient, posterior)._asdict()
                dial = dial._replace(frozen=j >= settings.burn_in)
                moved, info = algorithm.step(algorithm.state(**carried), draws[j - first], gradient, posterior, dial)
                carried = moved._asdict()
                gone = carried["params"] - posterior.center
                slope = 0 * info.loss if tilted or slope_at is None else (slope_at * gone).sum(1)
                columns.append((info.loss, info.accepted, slope, gone.square().sum(1)))
            loss, *rest = (torch.stack(column, 1)[:count] for column in zip(*columns, strict=True))
            if batch is not None:
                base = _at_home(chunk, batch[:count, taken[0] - first : taken[-1] + 1 - first])
            seen.append(Block(loss, loss - base, *rest))
            step = taken[-1] + 1
    return State({k: t[:count].clone() for k, t in carried.items()}, end), Block.join(seen)


def _check_relaxed(scape: Landscape, chunk: Chunk) -> None:
    """Refuse a point that is to be relaxed and is not."""
    if scape.restriction.kind == "relaxed" and any(center.relaxation is None for center in chunk.centers):
        raise InputError("a relaxed point is found before it is sampled: take the center that landscape.relax gives")


def _at_home(chunk: Chunk, batches: Tensor) -> Tensor:
    """(R, J) mean losses of w* on batches (R, J, B) of sample numbers."""
    drawn = zip(chunk.which, batches, strict=True)
    return torch.stack([chunk.centers[t].losses[batch].mean(1) for t, batch in drawn])


def _gradient(
    engine: Engine, settings: Settings, frozen: Params, batch: Tensor | None, center: Tensor, anchor: Tensor
) -> Gradient:
    """Of what moves, on a step's batch, as settings and the kind of point ask for it."""
    gradient = _stretched(engine.gradient(frozen, batch), center, engine.scape)
    if batch is not None and settings.control_variates:
        gradient = _controlled(gradient, center, anchor)
    return _tilted(gradient, center, anchor) if engine.scape.restriction.tilted and anchor.any() else gradient


def _dial(posterior: LocalizedPosterior, settings: Settings, sizes: Tensor | None, padding: int) -> Dial:
    """What is set from outside, of every row."""
    one = torch.ones_like(posterior.nbeta)
    size = (settings.step_size or math.nan) * one
    if sizes is not None:
        size = torch.cat([sizes, sizes[:1].expand(padding)])[:, None].to(size)
    return Dial(size, (settings.friction or math.nan) * one, frozen=False)


def place(scape: Landscape, center: Tensor, carried: Tensor) -> Tensor:
    """Weights (R, D) of what is carried.

    Where weights have localizations t of their own, chains move in u = w* + t (w - w*), in which the localization
    is the same in all directions: the path of a rescaled network is then that of the network before.
    """
    return carried if scape.localization is None else center + (carried - center) / scape.localization


def _narrow(gradient: Tensor, scape: Landscape) -> Tensor:
    """A gradient in w as one in u."""
    return gradient if scape.localization is None else gradient / scape.localization


def _stretched(gradient: Gradient, center: Tensor, scape: Landscape) -> Gradient:
    """The gradient as a function of u."""
    if scape.localization is None:
        return gradient

    def stretched(carried: Tensor) -> tuple[Tensor, Tensor]:
        grad, loss = gradient(place(scape, center, carried))
        return _narrow(grad, scape), loss

    return stretched


def _controlled(gradient: Gradient, center: Tensor, full: Tensor) -> Gradient:
    """The same batch's gradient with its value at w* taken off, and the full data's put in its place."""

    def quieter(params: Tensor) -> tuple[Tensor, Tensor]:
        grad, loss = gradient(params)
        return grad - gradient(center)[0] + full, loss

    return quieter


def _tilted(gradient: Gradient, center: Tensor, full: Tensor) -> Gradient:
    """Of L - g . (w - w*), g the full data's gradient at w*, whatever the batch."""

    def level(params: Tensor) -> tuple[Tensor, Tensor]:
        grad, loss = gradient(params)
        return grad - full, loss - (full * (params - center)).sum(1)

    return level


def slab_steps(weights: int, block: int = BLOCK) -> int:
    """Steps whose noise is drawn in one call: a power of two that divides the block, by D alone.

    Draws of another shape are other numbers, so it may depend on nothing else.
    """
    return max(1, min(block, 1 << ((SLAB // max(weights, 1)).bit_length() - 1) if weights <= SLAB else 1))


def _draw(
    chunk: Chunk, settings: Settings, scape: Landscape, slab: int, steps: int, purpose: str
) -> tuple[list[Draw], Tensor | None]:
    """Random numbers of one slab, and sample numbers (R, J, B) where batches are drawn; padding rows get zeros."""
    layout, samples, rows = scape.layout, 0 if scape.data is None else len(scape.data), chunk.rows
    size = 0 if settings.exact or settings.batch_size >= samples else settings.batch_size
    noise = torch.zeros(rows, steps, layout.width, dtype=layout.dtype, device=scape.device)
    uniform = torch.zeros(rows, steps, 2, dtype=torch.float64, device=scape.device)
    batch = torch.zeros(rows, steps, size, dtype=torch.long, device=scape.device) if size else None
    for r, (checkpoint, chain) in enumerate(chunk.names):
        own = stream(settings.seed, purpose, checkpoint, chain, slab, device=scape.device)
        if batch is not None:
            torch.randint(samples, (steps, size), generator=own, out=batch[r])
        noise[r].normal_(generator=own)
        if settings.exact:
            uniform[r].uniform_(generator=own)
    leapfrog_steps = torch.ones(steps, dtype=torch.long)
    if settings.algorithm.trajectories:
        shared = stream(settings.seed, purpose, "leaps", slab)
        leapfrog_steps = torch.randint(1, 2 * settings.leapfrog_steps, (steps,), generator=shared)
    return [Draw(noise[:, j], uniform[:, j], int(leapfrog_steps[j])) for j in range(steps)], batch


def _posterior(
    chunk: Chunk, which: Tensor, gradient: Tensor, settings: Settings, scape: Landscape
) -> LocalizedPosterior:
    """The target of every row, given the gradient (R, D) at its centre."""
    _check_relaxed(scape, chunk)
    center = torch.stack([c.params for c in chunk.centers])[which]
    normal = torch.nn.functional.normalize(gradient) if scape.restriction.orthogonal_to_gradient else None
    nbeta, gamma = (center.new_full((len(which), 1), x) for x in (settings.nbeta or math.nan, settings.gamma))
    return LocalizedPosterior(center, nbeta, gamma, scape.mask, normal)
