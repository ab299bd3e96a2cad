"""Agents in files: what is known of Alice and of Bob, read and checked before anything is computed.

Bob's world is Alice's where his file has none. How files are read safely: `reading`, `toml`, `archives`; what they
may say: `schema`, and in which of two files: `roles`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thalweg.agents import _shapes as shapes
from thalweg.agents._archives import stored
from thalweg.agents._held import Held
from thalweg.agents._reading import inside, whole_numbers
from thalweg.agents._schema import AgentFile, agent_file
from thalweg.agents.worlds import World, WorldKind
from thalweg.envs import Gridworld, gridworld
from thalweg.errors import InputError, guarded, shown
from thalweg.irl import Behaviour, Boltzmann, ChoiceModel, Linear, Soft
from thalweg.mdp import LARGEST, MDP


@dataclass(frozen=True, eq=False)
class Seen:
    """Recorded choices, and how they are read.

    Attributes:
        behaviour: all of them.
        values: linear class; None where there are candidates, or counts alone.
        candidates: (K, S), (K, S, A) or (K, S, A, S) rewards; None otherwise.
        choice_model: None for counts alone.
        delta: of the confidence set.
        contexts: (n,) from 0 on; None where there is one reward.
        shards: how many contexts there are, visited or not.
        mixed: whether contexts were recorded and one reward is said to be in force in all.
        untested: whether the choice model is taken as it is though no test of it is possible.
    """

    behaviour: Behaviour
    values: Linear | None
    candidates: Tensor | None
    choice_model: Boltzmann | None
    delta: float
    contexts: Tensor | None
    shards: int
    mixed: bool = False
    untested: bool = False


class Agent:
    """An agent file with what it points to."""

    def __init__(
        self, path: Path, beside: "Agent | None" = None, *, file: AgentFile | None = None, whose: str = "the agent"
    ) -> None:
        """Read; an agent without a world of its own lives in that of the one beside it.

        Args:
            path: of the file.
            beside: whose world, and whose arrays, it has where its file has none.
            file: what it says, where it was read already.
            whose: for messages: Alice or Bob.

        Raises:
            InputError: the file and what is wrong with it.
        """
        self.path, self.whose = path, whose
        self.file = agent_file(path) if file is None else file
        self.arrays, self.grid = Held(path, {}), None
        if self.file.world is not None:
            self._build(self.file.world)
        elif beside is not None:
            self.mdp, self.grid, self.arrays = beside.mdp, beside.grid, Held(path, beside.arrays.there)
        else:
            raise InputError(f"{path}: no [world]: give a grid or arrays, and a discount")
        if self.file.arrays is not None:
            own = self.file.world is not None
            self.arrays = self.arrays.also(inside(path, self.file.arrays), own=own)

    @property
    def name(self) -> str:
        """What the file calls it, or what the file is called."""
        return self.path.stem if self.file.name is None else self.file.name

    def _build(self, world: World | WorldKind) -> None:
        """Its own world."""
        if isinstance(world, WorldKind):
            with guarded(f"{self.path}: world of kind {shown(world.kind)!r}", "mend the distribution that gives it"):
                made = world.process()
            if not isinstance(made, MDP | Gridworld):
                raise InputError(
                    f"{self.path}: world of kind {shown(world.kind)!r} makes a {type(made).__name__}: make a tw.MDP"
                )
            self.grid = made if isinstance(made, Gridworld) else None
            self.mdp = made if isinstance(made, MDP) else made.mdp
            return
        given = ()
        if world.arrays is not None:
            there = stored(inside(self.path, world.arrays))
            held = Held(self.path, there)  # read once, then forgotten
            moves = held("transitions", shapes.transitions)
            given, self.arrays = (moves, held("start", partial(shapes.start, len(moves)))), Held(self.path, there)
        try:
            if given:
                self.mdp = MDP(*given, world.discount)
            else:
                self.grid = gridworld(world.grid or [], discount=world.discount, slip=world.slip)
                self.mdp = self.grid.mdp
        except InputError as error:
            raise InputError(f"{self.path}: world: {error}") from error

    @property
    def reward(self) -> Tensor | None:
        """Of its values, where the file gives them."""
        values = self.file.values
        if values is None:
            return None
        whose = f"{self.whose}'s reward"
        if values.array is not None:
            found = self._array(values.array, shapes.reward, whose)
        elif self.grid is None:
            raise InputError(f"{self.path}: values: cells belong to a grid: give array")
        else:
            found = self.grid.reward(values.cells or {})
        return self._summable(found, whose)

    @property
    def policy(self) -> Tensor | None:
        """Of its policy, (S, A) or (K, S, A)."""
        name = self.file.policy
        if name is None:
            return None
        if name != "optimal":
            return self._array(name, shapes.policies, True, "Bob's policy")
        if name in self.arrays:
            raise InputError(f"{self.path}: policy = {name!r} is computed, and an array is called so: rename it")
        if self.reward is None:
            raise InputError(f'{self.path}: policy = "optimal" needs [values]')
        return self.mdp.optimal(self.reward).policy

    @property
    def suboptimality(self) -> float | None:
        """In units of its reward."""
        share, reward = self.file.suboptimality_share, self.reward
        if share is None:
            return self.file.suboptimality
        if reward is None:
            raise InputError(f"{self.path}: suboptimality_share: give [values]")
        return share * float(self.mdp.return_range(reward))

    @property
    def weights(self) -> Tensor | None:
        """(K,) of the policies."""
        if self.file.weights is None:
            return None
        policy = self.policy
        return self.arrays(self.file.weights, partial(shapes.weights, () if policy is None else tuple(policy.shape)))

    @property
    def safe(self) -> Tensor | None:
        """(S, A) of a policy that is known to be harmless."""
        name = self.file.safe
        if name is None:
            return None
        if name != "even":
            return self._array(name, shapes.policies, False, "the safe policy")
        even = torch.full((self.mdp.states, self.mdp.actions), 1 / self.mdp.actions, dtype=torch.float64)
        if name in self.arrays and not torch.allclose(
            self._array(name, shapes.policies, False, "the safe policy").to(torch.float64), even
        ):
            raise InputError(
                f"{self.path}: safe = {name!r} is each action alike, and an array is called so: rename it"
            )
        return even

    @property
    def asked(self) -> tuple[Tensor, ChoiceModel] | None:
        """(S, A) log probabilities and the choice model."""
        told = self.file.answers
        if told is None:
            return None
        choice_model = (
            Soft(told.temperature or 0.0) if told.inverse_temperature is None else Boltzmann(told.inverse_temperature)
        )
        return self._array(told.log_policy, shapes.log_policy), choice_model

    @property
    def observed(self) -> Seen | None:
        """Recorded choices."""
        told = self.file.choices
        if told is None:
            return None
        values = None if told.features is None else self._features(told.features, told.bound)
        behaviour, contexts, mixed = self._behaviour(told.demonstrations, told.contexts)
        return Seen(
            behaviour,
            values,
            None
            if told.candidates is None
            else self._summable(self._array(told.candidates, shapes.candidates), "candidates"),
            None if told.inverse_temperature is None else Boltzmann(told.inverse_temperature, told.relative),
            told.delta,
            contexts,
            told.contexts or 1,
            mixed,
            told.untested,
        )

    def _features(self, told: list[str] | str, bound: float | None) -> Linear:
        """Letters of the map, or an array."""
        if isinstance(told, str):
            found = self._array(told, shapes.features)
        elif self.grid is None:
            raise InputError(f"{self.path}: features: letters belong to a grid: give the name of an array")
        else:
            found = torch.stack([self.grid.reward({letter: 1.0}) for letter in told], -1)
        try:
            return Linear(found, bound)
        except InputError as error:
            raise InputError(f"{self.path}: choices: {error}") from error

    def _behaviour(self, name: str, count: int | None) -> tuple[Behaviour, Tensor | None, bool]:
        """The choices of a CSV, the contexts, and whether there are some that nobody reads."""
        path = inside(self.path, name)
        columns = ("state", "action", "context")[: 3 if count else 2]
        rows, mixed = whole_numbers(path, columns, () if count else ("context",))
        states, actions, *contexts = torch.as_tensor(rows).T
        if count and not bool(((contexts[0] >= 0) & (contexts[0] < count)).all()):
            raise InputError(f"{path}: a context that is none of 0 to {count - 1}: there are {count}")
        try:
            return Behaviour((self.mdp,), states, actions), contexts[0] if count else None, mixed
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _array(self, name: str, wrong: Callable[..., str | None], *what: Any) -> Tensor:
        """An array of the world's states and actions, of a shape that nothing is wrong with."""
        return self.arrays(name, partial(wrong, self.mdp.states, self.mdp.actions, *what))

    def _summable(self, found: Tensor, what: str) -> Tensor:
        """Refuse numbers whose discounted sums overflow."""
        largest = float(found.abs().max())
        if not largest < LARGEST * (1 - self.mdp.discount):
            raise InputError(f"{self.path}: {what}: a number of {largest:.3g}, its sums overflow: scale it down")
        return found
