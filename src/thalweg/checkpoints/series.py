"""Find the checkpoints of a run and put them in the order of their training steps."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thalweg.checkpoints.load import SUFFIXES, read, step_stated
from thalweg.errors import InputError
from thalweg.types import Params

LAST_INTEGER = re.compile(r"(\d+)(?!.*\d)")


@dataclass(frozen=True)
class Checkpoint:
    """One file of a run.

    Attributes:
        path: the file.
        step: training step.
    """

    path: Path
    step: int

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

    The step is the one that the file states (`step`, `global_step`, `num_timesteps`), else the last integer of its
    name: `ppo_512.pt` comes before `ppo_1024.pt`.

    Args:
        folder: of one run; sub-folders are not searched.

    Raises:
        InputError: no folder, no checkpoint in it, a file without a step, two of one step.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: give the folder that holds the checkpoints")
    files = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())
    if not files:
        raise InputError(f"no checkpoints in {folder}: expected files ending in {', '.join(SUFFIXES)}")
    found = sorted((Checkpoint(p, _step(p)) for p in files), key=lambda c: c.step)
    for a, b in itertools.pairwise(found):
        if a.step == b.step:
            raise InputError(f"{a.path.name} and {b.path.name} are both of step {a.step}: one folder holds one run")
    return Series(folder, tuple(found))


def _step(path: Path) -> int:
    """Training step of a file: stated inside, else the last integer of its name."""
    stated = step_stated(path)
    if stated is None and path.suffix != ".safetensors":
        stated = read(path)[1]
    if stated is not None:
        return stated
    named = LAST_INTEGER.search(path.stem)
    if named is None:
        raise InputError(
            f"{path.name} states no step and has no number in its name: rename it to name-STEP{path.suffix}"
        )
    return int(named[1])
