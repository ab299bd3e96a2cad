"""Agents in files: what is known of Alice and of Bob, read and checked before anything is computed.

Bob's world is Alice's where his file has none. How files are read safely: `reading`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from thalweg.agents.reading import arrays, inside, text, whole_numbers
from thalweg.errors import InputError, first_line
from thalweg.rl import MDP
from thalweg.rl.gridworld import Gridworld, gridworld
from thalweg.values import Behaviour, Boltzmann, Linear, Rule, Soft

NAMED = 10  # arrays in a message at most


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class World(_Strict):
    """The decision process: a map, or arrays `transitions` (S, A, S) and `start` (S,) of an .npz."""

    discount: float
    grid: list[str] | None = None
    slip: float = 0.0
    arrays: str | None = None


class Values(_Strict):
    """A reward: what letters of the map are worth a step, or the name of an array (S,) or (S, A) of the .npz."""

    cells: dict[str, float] | None = None
    array: str | None = None


class Choices(_Strict):
    """Recorded choices, a CSV with the columns state and action, and how they are read.

    With `features` or with `candidates` and a sharpness; with neither, as counts of a chooser of any reward.
    """

    demonstrations: str
    features: list[str] | str | None = None
    candidates: str | None = None
    sharpness: float | None = None
    relative: bool = True
    bound: float | None = None
    delta: float = 0.05
    untested: bool = False  # take the rule as it is though no test of it is possible
    contexts: int | None = Field(default=None, ge=1, le=100)  # of a column context, read from history: a reward each


class Answers(_Strict):
    """Log probabilities that she told, the name of an array (S, A); and her rule."""

    log_policy: str
    sharpness: float | None = None
    temperature: float | None = None


class Departs(_Strict):
    """How far Bob's process may be from the stated one."""

    transitions: float = 0.0
    reward: float = 0.0
    bob_reward: float = 0.0


class AgentFile(_Strict):
    """One agent, as its file says."""

    name: str = "agent"
    arrays: str | None = None
    world: World | None = None
    values: Values | None = None
    choices: Choices | None = None
    answers: Answers | None = None
    policy: str | None = None  # "optimal", or the name of an array (S, A), or (K, S, A) of a posterior
    weights: str | None = None  # the name of an array (K,)
    safe: str | None = None  # "even", or the name of an array (S, A)
    suboptimality: float | None = Field(default=None, ge=0)
    suboptimality_share: float | None = Field(default=None, ge=0)
    drift: Departs = Departs()


@dataclass(frozen=True, eq=False)
class Seen:
    """Recorded choices, and how they are read.

    Attributes:
        behaviour: all of them.
        values: linear class; None where there are candidates, or counts alone.
        candidates: (K, S) or (K, S, A) rewards; None otherwise.
        rule: None for counts alone.
        delta: of the confidence set.
        contexts: (n,) from 0 on; None where there is one reward.
        shards: how many contexts there are, visited or not.
        untested: whether the rule is taken as it is though no test of it is possible.
    """

    behaviour: Behaviour
    values: Linear | None
    candidates: Tensor | None
    rule: Boltzmann | None
    delta: float
    contexts: Tensor | None
    shards: int
    untested: bool = False


class Agent:
    """An agent file with what it points to."""

    def __init__(self, path: Path, beside: "Agent | None" = None) -> None:
        """Read; an agent without a world of its own lives in that of the one beside it.

        Raises:
            InputError: the file and what is wrong with it.
        """
        self.path = path
        try:
            told = tomllib.loads(text(path))
        except (ValueError, RecursionError) as error:  # numbers of too many digits; brackets in brackets
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: not TOML: {first_line(error)}") from error
        try:
            self.file = AgentFile.model_validate(told)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        self.arrays: dict[str, np.ndarray] = {}
        self.grid: Gridworld | None = None
        world = self.file.world
        if world is not None:
            self._build(world)
        elif beside is not None:
            self.mdp, self.grid, self.arrays = beside.mdp, beside.grid, beside.arrays
        else:
            raise InputError(f"{path}: no [world]: give a grid or arrays, and a discount")
        if self.file.arrays is not None:
            self.arrays = {**self.arrays, **arrays(inside(self.path, self.file.arrays))}

    def _build(self, world: World) -> None:
        """Its own world."""
        if (world.grid is None) == (world.arrays is None):
            raise InputError(f"{self.path}: world: give either grid or arrays")
        try:
            if world.grid is not None:
                self.grid = gridworld(world.grid, discount=world.discount, slip=world.slip)
                self.mdp = self.grid.mdp
            else:
                self.arrays = arrays(inside(self.path, world.arrays or ""))
                self.mdp = MDP(self._array("transitions"), self._array("start"), world.discount)
        except InputError as error:
            raise InputError(f"{self.path}: world: {error}") from error

    @property
    def reward(self) -> Tensor | None:
        """Of its values, where the file gives them."""
        values = self.file.values
        if values is None:
            return None
        if (values.cells is None) == (values.array is None):
            raise InputError(f"{self.path}: values: give either cells or array")
        if values.array is not None:
            return self._array(values.array)
        if self.grid is None:
            raise InputError(f"{self.path}: values: cells belong to a grid: give array")
        return self.grid.reward(values.cells or {})

    @property
    def policy(self) -> Tensor | None:
        """Of its policy, (S, A)."""
        if self.file.policy is None:
            return None
        if self.file.policy != "optimal":
            return self._array(self.file.policy)
        if self.reward is None:
            raise InputError(f'{self.path}: policy = "optimal" needs [values]')
        return self.mdp.optimal(self.reward).policy

    @property
    def suboptimality(self) -> float | None:
        """In units of its reward."""
        if self.file.suboptimality_share is None:
            return self.file.suboptimality
        if self.file.suboptimality is not None or self.reward is None:
            raise InputError(f"{self.path}: suboptimality_share: give [values], and no suboptimality beside it")
        return self.file.suboptimality_share * float(self.mdp.return_range(self.reward))

    @property
    def weights(self) -> Tensor | None:
        """(K,) of the policies."""
        return None if self.file.weights is None else self._array(self.file.weights)

    @property
    def safe(self) -> Tensor | None:
        """(S, A) of a policy that is known to be harmless."""
        if self.file.safe == "even":
            return torch.full((self.mdp.states, self.mdp.actions), 1 / self.mdp.actions, dtype=torch.float64)
        return None if self.file.safe is None else self._array(self.file.safe)

    @property
    def asked(self) -> tuple[Tensor, Rule] | None:
        """(S, A) log probabilities and the rule."""
        told = self.file.answers
        if told is None:
            return None
        rules: list[Rule] = [] if told.sharpness is None else [Boltzmann(told.sharpness)]
        rules += [] if told.temperature is None else [Soft(told.temperature)]
        if len(rules) != 1:
            raise InputError(f"{self.path}: answers: give either sharpness or temperature")
        return self._array(told.log_policy), rules[0]

    @property
    def observed(self) -> Seen | None:
        """Recorded choices."""
        told = self.file.choices
        if told is None:
            return None
        if told.features is not None and told.candidates is not None:
            raise InputError(f"{self.path}: choices: give either features or candidates")
        if told.contexts and told.features is None:
            raise InputError(f"{self.path}: choices: contexts need features: a reward of the class for each")
        counts = told.features is None and told.candidates is None
        if counts != (told.sharpness is None):
            what = "features or candidates" if counts else "sharpness"
            raise InputError(f"{self.path}: choices: give {what} too, or, for counts alone, no sharpness")
        behaviour, contexts = self._behaviour(told.demonstrations, told.contexts)
        return Seen(
            behaviour,
            None if told.features is None else self._features(told.features, told.bound),
            None if told.candidates is None else self._array(told.candidates),
            None if told.sharpness is None else Boltzmann(told.sharpness, told.relative),
            told.delta,
            contexts,
            told.contexts or 1,
            told.untested,
        )

    def _features(self, told: list[str] | str, bound: float | None) -> Linear:
        """Letters of the map, or an array."""
        if isinstance(told, str):
            return Linear(self._array(told), bound)
        if not told:
            raise InputError(f"{self.path}: features: give one letter of the map, or more")
        if self.grid is None:
            raise InputError(f"{self.path}: features: letters belong to a grid: give the name of an array")
        columns = [self.grid.reward({letter: 1.0}) for letter in told]
        return Linear(torch.stack(columns, -1), bound)

    def _behaviour(self, name: str, count: int | None) -> tuple[Behaviour, Tensor | None]:
        """The choices of a CSV, and the contexts."""
        path = inside(self.path, name)
        columns = ("state", "action", "context")[: 3 if count else 2]
        states, actions, *contexts = torch.as_tensor(whole_numbers(path, columns)).T
        if count and not bool(((contexts[0] >= 0) & (contexts[0] < count)).all()):
            raise InputError(f"{path}: a context that is none of 0 to {count - 1}: there are {count}")
        try:
            return Behaviour((self.mdp,), states, actions), contexts[0] if count else None
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _array(self, name: str) -> Tensor:
        """One of them."""
        if name not in self.arrays:
            there = ", ".join(sorted(self.arrays)[:NAMED]) or "none"
            raise InputError(f"{self.path}: no array {name!r}: there are {len(self.arrays)}: {there}")
        if not np.isfinite(self.arrays[name]).all():
            raise InputError(f"{self.path}: array {name!r} holds NaN or infinity: give finite numbers")
        return torch.as_tensor(self.arrays[name])


__all__ = ["Agent", "AgentFile", "Answers", "Choices", "Departs", "Seen", "Values", "World"]
