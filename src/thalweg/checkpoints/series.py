"""Find the checkpoints of a run and put them in the order of their training steps."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thalweg.checkpoints._door import refusing
from thalweg.checkpoints._steps import STEPS, WHOLE, Stated, named, told
from thalweg.checkpoints.load import LOADERS, read, step_stated
from thalweg.errors import InputError
from thalweg.types import Params


@dataclass(frozen=True)
class Checkpoint:
    """One file of a run.

    Attributes:
        path: the file.
        step: training step, from 0 to 2^63 - 1, as stores hold it.
        source: where the step was read, in words.
    """

    path: Path
    step: int
    source: str = "given"

    def __post_init__(self) -> None:
        if not 0 <= self.step < STEPS or self.step != int(self.step):
            raise InputError(f"{self.path} is of step {told(self.step)}: {WHOLE}")

    def load(self) -> Params:
        """Read its weights; see `load.read` for what is refused."""
        return read(self.path)[0]


@dataclass(frozen=True)
class Series:
    """The checkpoints of a run by ascending step."""

    folder: Path
    items: tuple[Checkpoint, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self.items)

    def __getitem__(self, part: slice) -> "Series":
        return Series(self.folder, self.items[part])

    @property
    def steps(self) -> list[int]:
        """Training steps, ascending."""
        return [c.step for c in self.items]


def checkpoints(folder: str | Path) -> Series:
    """Find the checkpoints of a folder, ordered by step: `.pt`, `.pth`, `.safetensors`, `.zip` of SB3.

    The step is the one that the file states (`step`, `global_step`, `num_timesteps`), else the number in its name
    that is called step, iter or epoch, else the only whole number there: `ppo_512.pt` comes before `ppo_1024.pt`.
    Each checkpoint's `source` says which it was.

    Args:
        folder: of one run; sub-folders are not searched.

    Raises:
        InputError: no folder, no checkpoint in it, a file without a step or with two that differ, two of one step,
            steps and epochs that are mixed or run against each other.
    """
    folder = Path(folder)
    with refusing(folder, "cannot be read"):
        if not folder.is_dir():
            raise InputError(f"no folder {folder}: give the folder that holds the checkpoints")
        files = sorted(p for p in folder.iterdir() if p.suffix in LOADERS)
    if not files:
        raise InputError(f"no checkpoints in {folder}: expected files ending in {', '.join(LOADERS)}")
    found = sorted(((p, _clocks(p)) for p in files), key=lambda pair: _first(pair[1]).step)
    _check_order(found)
    return Series(folder, tuple(Checkpoint(p, _first(c).step, _first(c).source) for p, c in found))


def _first(clocks: dict[str, Stated]) -> Stated:
    """What is taken for the step."""
    return next(iter(clocks.values()))


def _clocks(path: Path) -> dict[str, Stated]:
    """All that counts in a file and in its name, by clock; first what is taken for the step."""
    inside = step_stated(path)
    if inside is None:
        clocks = named(path)
        if not clocks:
            raise InputError(
                f"{path.name} states no step and has no number in its name that is one: rename it to"
                f" name-STEP{path.suffix}"
            )
        return clocks
    try:
        clocks = named(path)
    except InputError:  # a name need say nothing where the file does
        return {"step": inside}
    called = clocks.get("step")
    if called is not None and called.step != inside.step:
        raise InputError(
            f"{path.name} is of step {called.step} by its name, of {inside.step} by {inside.source}: rename it"
        )
    return {"step": inside, **{clock: found for clock, found in clocks.items() if clock in ("iter", "epoch")}}


def _check_order(found: list[tuple[Path, dict[str, Stated]]]) -> None:
    """Refuse two of one step, and what different clocks put in different orders."""
    for (a, first), (b, second) in itertools.pairwise(found):
        if _first(first).step == _first(second).step:
            raise InputError(f"{a.name} and {b.name} are both of step {_first(first).step}: one folder holds one run")
        for clock in first.keys() & second.keys() - {""}:
            if first[clock].step > second[clock].step:
                raise InputError(
                    f"{a.name} comes before {b.name} by {_first(first).source}, behind it by its {clock}: rename them"
                )
    counted = {clock: path for path, clocks in found if (clock := _first(clocks).clock)}
    if len(counted) > 1:
        told = ", ".join(f"{path.name} in {clock}s" for clock, path in counted.items())
        raise InputError(f"one folder counts {told}: rename them, one word for all")
