"""The arrays that an agent's keys may name: each is read when it is asked for, if its shape is what it must be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thalweg.agents._archives import Stored, stored
from thalweg.agents._reading import listed
from thalweg.agents._shapes import Shape
from thalweg.errors import InputError, shown

NUMBERS = 2**26  # of all arrays that an agent needs at most: 512 MiB in float64


class Held:
    """Arrays by name."""

    def __init__(self, beside: Path, there: dict[str, Stored]) -> None:
        """Keep what there is; nothing is read."""
        self.beside, self.there = beside, there
        self._read: dict[str, Tensor] = {}
        self._numbers = 0

    def __contains__(self, name: str) -> bool:
        return name in self.there

    def __call__(self, name: str, wrong: Callable[[Shape], str | None]) -> Tensor:
        """One of them, of a shape that nothing is wrong with: floats as precise as they are stored, else float64."""
        if name not in self.there:
            there = f"there are {len(self.there)}: {listed(list(self.there))}"
            raise InputError(f"{self.beside}: no array {shown(name)!r}: {there}")
        found = self.there[name]
        told = wrong(found.shape)
        if told is not None:
            raise InputError(f"{self.beside}: array {shown(name)!r}: {told}")
        if name not in self._read:
            self._numbers += found.size
            if self._numbers > NUMBERS:
                raise InputError(
                    f"{self.beside}: array {shown(name)!r}: {self._numbers:,} numbers with those read before: give at"
                    f" most {NUMBERS:,}"
                )
            numbers = found.read()
            if not np.isfinite(numbers).all():
                raise InputError(f"{self.beside}: array {shown(name)!r} holds NaN or infinity: give finite numbers")
            self._read[name] = torch.as_tensor(numbers)
        return self._read[name]

    def also(self, path: Path, *, own: bool) -> "Held":
        """With those of a further archive, which go before; where both are the agent's `own`, none may be in both."""
        more = stored(path)
        both = sorted(name for name in set(more) & set(self.there) if more[name].path != self.there[name].path)
        if own and both:
            raise InputError(f"{self.beside}: array {shown(both[0])!r} is in two files: call one of them otherwise")
        return Held(self.beside, {**self.there, **more})
