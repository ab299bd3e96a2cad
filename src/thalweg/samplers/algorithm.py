"""What a sampler's file offers of itself, in one object: all that others ask of it.

start(params, gradient, posterior) -> state;  step(state, draw, gradient, posterior, dial) -> state, info
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers._target import Draw, Gradient, Info

BLOCK = 128  # steps between two saved states
AnyState = Any  # a sampler's own State: a NamedTuple of tensors (R, ...), the first of them `params`


class Dial(NamedTuple):
    """What is set from outside, for a step.

    Attributes:
        step_size: (R, 1) eps, weight^2 per nat.
        friction: (R, 1) of SGHMC, per unit of time.
        frozen: whether burn-in is over: RMSprop keeps its scale.
    """

    step_size: Tensor
    friction: Tensor
    frozen: bool


def dialled(step: Callable[..., tuple[AnyState, Info]], *names: str) -> Callable[..., tuple[AnyState, Info]]:
    """A step as all samplers take it: of the dial it is given by name what it asks for."""

    def take(
        state: AnyState, draw: Draw, gradient: Gradient, posterior: LocalizedPosterior, dial: Dial
    ) -> tuple[AnyState, Info]:
        asked = {name: getattr(dial, name) for name in names}
        return step(state, draw, gradient=gradient, posterior=posterior, **asked)

    return take


@dataclass(frozen=True)
class Algorithm:
    """One sampler. Its name is that of the table, the entry point or `register`.

    Attributes:
        start: every replica at its own centre.
        step: move every replica once.
        state: the type of what is carried.
        exact: accepts and refuses: takes the gradient of the full data, and its law is the posterior's.
        trajectories: takes several gradients a step, `Settings.leapfrog_steps` in the mean.
        block: steps between two saved states: about as many gradients for every sampler.
    """

    start: Callable[[Tensor, Gradient, LocalizedPosterior], AnyState]
    step: Callable[[AnyState, Draw, Gradient, LocalizedPosterior, Dial], tuple[AnyState, Info]]
    state: type
    exact: bool = False
    trajectories: bool = False
    block: int = BLOCK
