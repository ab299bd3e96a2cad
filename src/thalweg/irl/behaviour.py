"""What was seen of an agent: its actions in the states of one or of several decision processes."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp import MDP


@dataclass(frozen=True, eq=False)
class Behaviour:
    """Recorded choices, in the order in which they were made.                     n choices, E environments

    States and environments may be chosen by any rule that looks at the past alone.

    Attributes:
        environments: decision processes in which the agent acted.
        states: (n,) numbers of states.
        actions: (n,) the action chosen in each.
        where: (n,) number of the environment; the first where it is not given.

    Raises:
        InputError: lengths that do not fit; a state, action or environment that there is not, with its place.
    """

    environments: tuple[MDP, ...]
    states: Tensor
    actions: Tensor
    where: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __post_init__(self) -> None:
        worlds: Any = self.environments
        worlds = (worlds,) if isinstance(worlds, MDP) else tuple(worlds)
        if not worlds or not all(isinstance(world, MDP) for world in worlds):
            raise InputError("environments of the behaviour: give one tw.MDP or several")
        found = {name: _whole(name, getattr(self, name)) for name in ("states", "actions", "where")}
        if not len(found["where"]) and len(found["states"]):
            found["where"] = torch.zeros_like(found["states"])
        lengths = {name: len(numbers) for name, numbers in found.items()}
        if len(set(lengths.values())) != 1:
            raise InputError(f"behaviour has {lengths}: give one of each for every choice")
        _within("environment", found["where"], torch.full_like(found["where"], len(worlds)))
        for name, size in (("state", "states"), ("action", "actions")):
            counts = torch.tensor([getattr(world, size) for world in worlds])
            _within(name, found[size], counts[found["where"]])
        for name, value in {"environments": worlds, **found}.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.states)

    def counts(self, environment: int) -> Tensor:
        """(S, A) float64: how often each action was chosen in each state of an environment."""
        world, here = self.environments[environment], self.where == environment
        flat = self.states[here] * world.actions + self.actions[here]
        return torch.bincount(flat, minlength=world.states * world.actions).double().reshape(-1, world.actions)

    def only(self, keep: Tensor) -> "Behaviour":
        """Some of the choices, (n,) bool."""
        return Behaviour(self.environments, self.states[keep], self.actions[keep], self.where[keep])


def _whole(name: str, given: Any) -> Tensor:
    """(n,) int64."""
    found = torch.as_tensor(given)
    if found.ndim != 1 or (found.is_floating_point() and len(found)):
        raise InputError(f"{name} of the behaviour: give whole numbers, one for each choice")
    return found.to(torch.int64)


def _within(name: str, numbers: Tensor, sizes: Tensor) -> None:
    """Refuse a number outside its range."""
    wrong = (numbers < 0) | (numbers >= sizes)
    if wrong.any():
        at = int(wrong.nonzero()[0, 0])
        raise InputError(
            f"choice {at} of the behaviour: {name} {int(numbers[at])} of {int(sizes[at])}: number them from 0"
        )
