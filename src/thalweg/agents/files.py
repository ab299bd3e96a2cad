"""Agents in files: what is known of Alice and of Bob, read and checked before anything is computed.

A file is hostile until read: TOML and CSV are text, arrays are read without pickles, nothing outside the folder of
the file is opened, and sizes have limits.
"""

import csv
import io
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from thalweg.errors import InputError, first_line, guarded
from thalweg.rl import MDP
from thalweg.rl.gridworld import Gridworld, gridworld
from thalweg.values import Behaviour, Boltzmann, Linear

BYTES = 256 * 2**20  # of a file, and of an array in it, at most
ROWS = 10_000_000  # choices of a recording at most
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
    """Recorded choices, a CSV with the columns state and action; and how they are read."""

    demonstrations: str
    features: list[str] | str
    sharpness: float
    relative: bool = True
    bound: float | None = None
    delta: float = 0.05


class AgentFile(_Strict):
    """One agent, as its file says."""

    name: str = "agent"
    world: World | None = None
    values: Values | None = None
    choices: Choices | None = None
    policy: str | None = None  # "optimal", or the name of an array (S, A)
    suboptimality: float | None = Field(default=None, ge=0)
    suboptimality_share: float | None = Field(default=None, ge=0)


class Agent:
    """An agent file with what it points to."""

    def __init__(self, path: Path, beside: "Agent | None" = None) -> None:
        """Read; an agent without a world of its own lives in that of the one beside it.

        Raises:
            InputError: the file and what is wrong with it.
        """
        self.path = path
        text = _text(path)
        try:
            told = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # numbers of too many digits; brackets in brackets
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

    def _build(self, world: World) -> None:
        """Its own world."""
        if (world.grid is None) == (world.arrays is None):
            raise InputError(f"{self.path}: world: give either grid or arrays")
        try:
            if world.grid is not None:
                self.grid = gridworld(world.grid, discount=world.discount, slip=world.slip)
                self.mdp = self.grid.mdp
            else:
                self.arrays = self._arrays(world.arrays or "")
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
    def observed(self) -> tuple[Behaviour, Linear, Boltzmann, float] | None:
        """Recorded choices, the class of values, the rule, and delta."""
        told = self.file.choices
        if told is None:
            return None
        rule = Boltzmann(told.sharpness, told.relative)
        return self._behaviour(told.demonstrations), self._features(told), rule, told.delta

    def _features(self, told: Choices) -> Linear:
        """Letters of the map, or an array."""
        if isinstance(told.features, str):
            return Linear(self._array(told.features), told.bound)
        if not told.features:
            raise InputError(f"{self.path}: features: give one letter of the map, or more")
        if self.grid is None:
            raise InputError(f"{self.path}: features: letters belong to a grid: give the name of an array")
        columns = [self.grid.reward({letter: 1.0}) for letter in told.features]
        return Linear(torch.stack(columns, -1), told.bound)

    def _behaviour(self, name: str) -> Behaviour:
        """The choices of a CSV."""
        path = self._inside(name)
        found = _choices(path)
        states, actions = torch.tensor(found, dtype=torch.int64).reshape(-1, 2).T
        try:
            return Behaviour((self.mdp,), states, actions)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        """All arrays of an .npz, none of them pickled."""
        path = self._inside(name)
        with guarded(f"{path}: reading the arrays", "give an .npz of plain numbers, as numpy.savez writes it"):
            with zipfile.ZipFile(path) as held:
                size = sum(item.file_size for item in held.infolist())
            if size > BYTES:
                raise InputError(f"{path}: {size / 2**20:.0f} MiB unpacked: give at most {BYTES >> 20}")
            with np.load(path, allow_pickle=False) as held:
                return {key: held[key] for key in held.files}

    def _array(self, name: str) -> Tensor:
        """One of them."""
        if name not in self.arrays:
            there = ", ".join(map(repr, sorted(self.arrays)[:NAMED])) or "none"
            raise InputError(f"{self.path}: no array {name!r}: there are {len(self.arrays)}: {there}")
        found = np.asarray(self.arrays[name])  # a member that is no .npy comes as bytes
        if found.dtype.kind not in "fiub":
            raise InputError(f"{self.path}: array {name!r} holds {found.dtype}: give numbers")
        with np.errstate(over="ignore"):  # of a wider float
            numbers = found.astype(np.float64)
        if not np.isfinite(numbers).all():
            raise InputError(f"{self.path}: array {name!r} holds NaN or infinity: give finite numbers")
        return torch.as_tensor(numbers)

    def _inside(self, name: str) -> Path:
        """A file beside the agent's own, or below."""
        with guarded(f"{self.path}: the name {name[:80]!r}", "give the name of a file beside the agent's"):
            folder = self.path.resolve().parent
            path = (folder / name).resolve()
            exists = path.is_file()
        if not path.is_relative_to(folder):
            raise InputError(f"{self.path}: {name!r} lies outside its folder: put it beside the agent's file")
        if not exists:
            raise InputError(f"{path}: no such file")
        return path


def _choices(path: Path) -> list[tuple[int, int]]:
    """Rows of states and actions."""
    found, line = [], 1
    try:
        rows = csv.DictReader(io.StringIO(_text(path), newline=""))
        names = rows.fieldnames or ()
        if not {"state", "action"} <= set(names) or len(set(names)) < len(names):
            raise InputError(f"{path}: columns {names}: give state and action, each once")
        for row in rows:
            line = rows.line_num
            if None in row:
                raise ValueError("more cells than columns")
            found.append((int(np.int64(int(row["state"]))), int(np.int64(int(row["action"])))))
            if len(found) > ROWS:
                raise InputError(f"{path}: more than {ROWS:,} choices: give fewer")
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError, csv.Error) as error:
        raise InputError(f"{path}: line {line}: give whole numbers of state and action") from error
    if not found:
        raise InputError(f"{path}: no choice is recorded: give some, or [values] in place of [choices]")
    return found


def _text(path: Path) -> str:
    """A small file as text, without the mark that some programs put first."""
    with guarded(f"{path}: reading it", "give a file of UTF-8 text"):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        if path.stat().st_size > BYTES:
            raise InputError(f"{path}: {path.stat().st_size >> 20} MiB: give at most {BYTES >> 20}")
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text") from error


__all__ = ["Agent", "AgentFile", "Choices", "Values", "World"]
