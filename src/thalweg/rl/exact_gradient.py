"""Exact policy gradient: Adam on the regret of sampled levels, with every expectation inside a level exact.

Several seeds learn at once, each with its own weights, levels and moments, as replicas of one batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from thalweg.errors import InputError
from thalweg.mdp import Levels
from thalweg.rl.exact_regret import regret_landscape
from thalweg.rng import seeded, stream
from thalweg.samplers import Engine
from thalweg.types import Params


@dataclass(frozen=True)
class Ascent:
    """How a policy is trained.

    Attributes:
        updates: in all.
        learning_rate: of Adam.
        levels: drawn for each update, with replacement, by their weights.
        every: updates between checkpoints; one is kept before the first and one after the last.
        temperature: reward units that a nat of entropy is paid with.
    """

    updates: int
    learning_rate: float
    levels: int
    every: int
    temperature: float = 0.0


class Moment(NamedTuple):
    """Where every seed stands.

    Attributes:
        step: updates taken.
        weights: one set for each seed.
    """

    step: int
    weights: list[Params]


def ascend(build: Callable[[], nn.Module], levels: Levels, ascent: Ascent, seeds: Sequence[int]) -> Iterator[Moment]:
    """Train one policy a seed, and stop at each checkpoint.

    A seed's path does not depend on the seeds beside it.

    Args:
        build: makes the policy; its initialisation is drawn from the seed.
        levels: the world, trained on by its weights.
        ascent: how.
        seeds: one run each.

    Raises:
        InputError: no seed, or settings out of range.
    """
    if not seeds or min(ascent.updates, ascent.levels, ascent.every) < 1 or not ascent.learning_rate > 0:
        raise InputError(f"{ascent} with {len(seeds)} seeds: give at least one of each, and a learning rate above 0")
    even = levels.evenly()
    modules = []
    for seed in seeds:
        with seeded(seed, "initialisation"):
            modules.append(build())
    scape = regret_landscape(modules[0], even, n=2, temperature=ascent.temperature)
    engine, layout = Engine(scape, compiled=False), scape.layout
    weights = torch.stack([layout.flatten({k: w.detach() for k, w in m.named_parameters()}) for m in modules])
    rest = [{k: w for k, w in m.state_dict().items() if k not in scape.params} for m in modules]
    frozen = {k: torch.stack([held[k] for held in rest]) for k in scape.frozen}
    adam = torch.optim.Adam([weights], ascent.learning_rate)  # elementwise: no seed's step depends on another's
    own = [stream(seed, "levels") for seed in seeds]
    with torch.no_grad():
        for step in range(ascent.updates + 1):
            if step % ascent.every == 0 or step == ascent.updates:
                named = [layout.unflatten(w.clone()) for w in weights]
                yield Moment(step, [{**held, **params} for held, params in zip(rest, named, strict=True)])
            if step == ascent.updates:
                return
            drawn = (torch.multinomial(levels.weight, ascent.levels, replacement=True, generator=g) for g in own)
            batch = torch.stack(list(drawn))
            weights.grad, _ = engine.gradient(frozen, batch)(weights)
            adam.step()
