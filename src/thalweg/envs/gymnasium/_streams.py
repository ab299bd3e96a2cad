"""The streams that all share: numpy's, Python's and torch's global generators, lent to an environment or watched.

An environment that draws from them has no chances of its own. Lent a state for each episode, it becomes a function
of the episode's seed; the streams of everyone else stay where they were.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from thalweg.errors import InputError
from thalweg.rng import seed_of

OWN = "draw all chances from self.np_random, which super().reset(seed=seed) makes"


@dataclass(eq=False)
class Streams:
    """Where the global streams stand for one episode."""

    held: dict[str, Any]  # state by whose it is
    moved: bool = False  # whether anything was drawn so far

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Run the episode's own code on its own streams; those of everyone else are put back."""
        before = _now()
        _put(self.held)
        try:
            yield
        finally:
            after = _now()
            self.moved = self.moved or not _same(self.held, after)
            self.held = after
            _put(before)


def of_seed(seed: int) -> Streams:
    """The streams that an episode of this seed begins with."""
    own = seed_of(seed, "global streams")
    numpys: Any = np.random.RandomState(own).get_state(legacy=False)
    held = {"numpy": numpys, "random": random.Random(own).getstate()}
    return Streams({**held, "torch": torch.Generator().manual_seed(own).get_state()})


@contextmanager
def watched(called: str) -> Iterator[None]:
    """Run environments, and refuse one that moves a stream which all share.

    Raises:
        InputError: the environment, and whose stream.
    """
    before = _now()
    yield
    after = _now()
    for whose in before:
        if not _same({whose: before[whose]}, {whose: after[whose]}):
            raise InputError(
                f"environment {called} draws from the global stream of {whose}, or seeds it, and its episodes are no"
                f" function of their seed: {OWN}"
            )


def _now() -> dict[str, Any]:
    """Where the global streams stand."""
    numpys: Any = np.random.get_state(legacy=False)  # noqa: NPY002  (read, not drawn from)
    return {"numpy": numpys, "random": random.getstate(), "torch": torch.get_rng_state()}


def _put(held: dict[str, Any]) -> None:
    np.random.set_state(held["numpy"])  # noqa: NPY002  (put back, not drawn from)
    random.setstate(held["random"])
    torch.set_rng_state(held["torch"])


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two states of streams are one."""
    return all(_plain(whose, one[whose]) == _plain(whose, other[whose]) for whose in one)


def _plain(whose: str, state: Any) -> Any:
    """A state that can be compared."""
    if whose == "torch":
        return state.numpy().tobytes()
    if whose == "numpy":
        return state["state"]["key"].tobytes(), state["state"]["pos"], state["has_gauss"], state["gauss"]
    return state
