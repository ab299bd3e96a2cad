"""How likely recorded choices are under values: l(theta), batched over theta and differentiable.  B points, D weights

    l(theta) = sum_e sum_{s, a} counts_e(s, a) log p(a|s; theta, e)

The prior is uniform on the class: on the octahedron |theta|_1 = 1 for directions, on the box |theta_i| <= bound else.
Both are images of a standard normal z, so that samplers need no walls:

    box:  theta = bound (2 Phi(z) - 1)        octahedron:  theta = x / |x|_1,  x = -sign(z) log(2 Phi(-|z|)), Laplace

Source: of the octahedron, Laplace coordinates over their sum are uniform on each facet (Dirichlet) and over facets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.irl.behaviour import Behaviour
from thalweg.irl.choice_models import Boltzmann, ChoiceModel, Soft
from thalweg.irl.reward_class import Linear
from thalweg.mdp import MDP, Gains


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Log likelihood of choices under a class of values and a choice model.

    A point is theta, (D,), and behind it, where `spread` is above 0, u: the choice model's inverse temperature (of
    `Soft`, one over its temperature) is multiplied by exp(u), u normal with that standard deviation.

    Attributes:
        environments: in which the choices were made.
        counts: (S, A) of each, how often an action was chosen; parts of choices where an agent was asked.
        values: the class.
        choice_model: of choice.
        spread: standard deviation of u a priori; 0 where the choice model's inverse temperature is taken for known.
        asked: whether counts are stated probabilities instead of choices.
    """

    environments: tuple[MDP, ...]
    counts: tuple[Tensor, ...]
    values: Linear
    choice_model: ChoiceModel
    spread: float = 0.0
    asked: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.spread < math.inf:
            raise InputError(
                f"spread {self.spread}: give a number of at least 0, a standard deviation of log inverse temperature"
            )
        if self.spread and not isinstance(self.choice_model, Boltzmann | Soft):
            raise InputError(
                f"spread {self.spread}: a {type(self.choice_model).__name__} has no inverse temperature, leave it out"
            )
        for world in self.environments:
            if self.values.features.shape[:-1] not in ((world.states,), (world.states, world.actions)):
                raise InputError(
                    f"features {tuple(self.values.features.shape)} do not fit an environment of {world.states} states"
                    f" and {world.actions} actions: give (S, D) or (S, A, D)"
                )

    @classmethod
    def of(
        cls, behaviour: Behaviour, values: Linear, choice_model: ChoiceModel, *, spread: float = 0.0
    ) -> "Likelihood":
        """Of recorded choices.

        Args:
            behaviour: states and actions.
            values: the class.
            choice_model: of choice.
            spread: of log inverse temperature a priori; 0 for an inverse temperature that is known.

        Raises:
            InputError: features of another size than an environment, a spread below 0.
        """
        counts = tuple(behaviour.counts(e) for e in range(len(behaviour.environments)))
        return cls(behaviour.environments, counts, values, choice_model, spread)

    @classmethod
    def of_answers(
        cls,
        environments: MDP | Sequence[MDP],
        log_probabilities: Any,
        values: Linear,
        choice_model: ChoiceModel,
        *,
        weight: float,
        spread: float = 0.0,
    ) -> "Likelihood":
        """Of log probabilities that an agent states when it is asked: cross-entropy with them as parts of choices.

        Each state that was asked for counts as `weight` choices divided by the stated probabilities. That is no
        likelihood of anything random: a set of values that it yields has no coverage, and certifies nothing.

        Args:
            environments: one or several.
            log_probabilities: (S, A) nats of each; rows of NaN where it was not asked.
            values: the class.
            choice_model: of choice.
            weight: choices that an answer is worth, above 0.
            spread: of log inverse temperature a priori.

        Raises:
            InputError: rows that are no distribution, a weight of 0 or less.
        """
        worlds = (environments,) if isinstance(environments, MDP) else tuple(environments)
        stated = [log_probabilities] if isinstance(environments, MDP) else list(log_probabilities)
        if len(stated) != len(worlds) or not 0 < weight < math.inf:
            raise InputError(
                f"{len(stated)} tables of log probabilities for {len(worlds)} environments, weight {weight}: give one"
                " table for each, and a weight above 0"
            )
        counts = tuple(weight * _stated(world, table) for world, table in zip(worlds, stated, strict=True))
        return cls(worlds, counts, values, choice_model, spread, asked=True)

    @property
    def width(self) -> int:
        """Numbers in a point: D, and 1 more with a spread."""
        return self.values.weights + (self.spread > 0)

    @property
    def choices(self) -> float:
        """n, in all environments."""
        return float(sum(counts.sum() for counts in self.counts))

    @property
    def relative(self) -> bool:
        """Whether the length of theta does not matter."""
        return isinstance(self.choice_model, Boltzmann) and self.choice_model.relative

    def seen(self) -> list[int]:
        """Numbers of the environments in which there are choices."""
        return [e for e, counts in enumerate(self.counts) if bool((counts > 0).any())]

    def log_policy(self, points: Any, environment: int) -> Tensor:
        """(..., S, A) nats of actions, of points (..., width); differentiable.

        Raises:
            InputError: a reward without a return range, where the choice model is relative.
        """
        at = torch.as_tensor(points, dtype=torch.float64)
        world = self.environments[environment]
        reward = self.values.reward(at[..., : self.values.weights], world.actions)
        if not self.spread:
            return self.choice_model.log_policy(world, Gains(reward))
        sharper = at[..., -1].exp()[..., None, None]
        if isinstance(self.choice_model, Soft):  # a reward times c at temperature t is the reward at t / c
            return self.choice_model.log_policy(world, Gains(reward * sharper))
        return torch.log_softmax(sharper * self.choice_model.log_policy(world, Gains(reward)), -1)

    def __call__(self, points: Any) -> Tensor:
        """(...,) nats, of points (..., width); differentiable, each from its own point alone.

        Raises:
            InputError: a reward without a return range, where the choice model is relative.
        """
        at = torch.as_tensor(points, dtype=torch.float64)
        total = at.sum(-1) * 0
        for e in self.seen():
            total = total + (self.counts[e] * self.log_policy(at, e)).sum((-1, -2))
        return total

    def with_counts(self, counts: Sequence[Tensor]) -> "Likelihood":
        """The same of other choices in the same environments."""
        return replace(self, counts=tuple(counts))

    def place(self, z: Tensor) -> Tensor:
        """Points (..., width) of standard normal coordinates (..., width); their law is the prior."""
        own = z[..., : self.values.weights]
        if self.values.bound is None:
            # log_ndtr keeps its digits far out, where 1 - Phi has none
            laplace = -torch.sign(own) * (math.log(2) + torch.special.log_ndtr(-own.abs()))
            theta = laplace / laplace.abs().sum(-1, keepdim=True)
        else:
            theta = self.values.bound * (2 * torch.special.ndtr(own) - 1)
        return torch.cat([theta, self.spread * z[..., -1:]], -1) if self.spread else theta


def _stated(world: MDP, table: Any) -> Tensor:
    """(S, A) probabilities, 0 where nothing was asked."""
    logs = torch.as_tensor(table, dtype=torch.float64)
    if logs.shape != (world.states, world.actions):
        raise InputError(
            f"log probabilities have shape {tuple(logs.shape)}: give ({world.states}, {world.actions}), NaN where"
            " it was not asked"
        )
    asked = ~logs.isnan().all(-1)
    found = torch.where(asked[:, None], logs, -math.inf).exp()
    wrong = asked & ~((found.sum(-1) - 1).abs() < 1e-6)  # not of a NaN either
    if wrong.any():
        raise InputError(
            f"log probabilities of state {int(wrong.nonzero()[0, 0])} do not sum to 1 as probabilities: give all"
            " actions of a state, or NaN for all"
        )
    return found
