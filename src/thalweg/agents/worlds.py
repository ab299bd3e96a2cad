"""What an agent file may say of a world: ours by a map or by arrays, and kinds from outside."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from thalweg.envs import Gridworld
from thalweg.mdp import MDP
from thalweg.registry import Registry

Chance = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A section of a file: every key of its kind, and none that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def given(self, key: str) -> bool:
        """Whether the file has it, be it with the value that it has anyway."""
        return key in self.model_fields_set


class World(Strict):
    """The decision process: a map, or arrays `transitions` (S, A, S) and `start` (S,) of an .npz."""

    discount: Annotated[float, Field(ge=0, lt=1)]
    grid: list[str] | None = None
    slip: Chance = 0.0
    arrays: str | None = None


class WorldKind(Strict):
    """A kind of world from outside, `kind = NAME` in [world]: its fields are the keys that it has there.

    Numbers of a file are hostile: bound what `process` makes of them.
    """

    kind: str
    discount: Annotated[float, Field(ge=0, lt=1)]

    def process(self) -> MDP | Gridworld:
        """The decision process; a `Gridworld` where letters of a map can be named in [values] and [choices]."""
        raise NotImplementedError


WORLDS: Registry[type[WorldKind]] = Registry(  # kinds of worlds, by the `kind` of an agent file
    "kind of world",
    "thalweg.worlds",
    {},
    lambda thing: isinstance(thing, type) and issubclass(thing, WorldKind),
    "a class that inherits from thalweg.agents.WorldKind",
)
