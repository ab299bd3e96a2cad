"""The five algorithms behind one protocol, and what each needs to know.

start(params, gradient, posterior) -> state;  step(state, draw, gradient, posterior, dial) -> state, info
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from thalweg.landscape import Posterior
from thalweg.samplers import hmc, mala, rmsprop_sgld, sghmc, sgld
from thalweg.samplers.target import Draw, Gradient, Info

AnyState = Any  # a sampler's own State: a NamedTuple of tensors (R, ...), the first of them `params`


class Dial(NamedTuple):
    """What is set from outside, for a step.

    Attributes:
        step_size: (R, 1) eps, weight^2 per nat.
        friction: (R, 1) of SGHMC, per unit of time.
        frozen: whether RMSprop keeps its scale.
    """

    step_size: Tensor
    friction: Tensor
    frozen: bool


@dataclass(frozen=True)
class Algorithm:
    """One sampler.

    Attributes:
        start: every replica at its own centre.
        step: move every replica once.
        state: the type of what is carried.
        exact: accepts and refuses: takes the gradient of the full data, and its law is the posterior's.
        trajectories: takes several gradients a step.
    """

    start: Callable[[Tensor, Gradient, Posterior], AnyState]
    step: Callable[[AnyState, Draw, Gradient, Posterior, Dial], tuple[AnyState, Info]]
    state: type
    exact: bool = False
    trajectories: bool = False


def _sgld(state: Any, draw: Draw, gradient: Gradient, posterior: Posterior, dial: Dial) -> tuple[AnyState, Info]:
    return sgld.step(state, draw, gradient=gradient, posterior=posterior, step_size=dial.step_size)


def _rmsprop(state: Any, draw: Draw, gradient: Gradient, posterior: Posterior, dial: Dial) -> tuple[AnyState, Info]:
    return rmsprop_sgld.step(
        state, draw, gradient=gradient, posterior=posterior, step_size=dial.step_size, frozen=dial.frozen
    )


def _sghmc(state: Any, draw: Draw, gradient: Gradient, posterior: Posterior, dial: Dial) -> tuple[AnyState, Info]:
    return sghmc.step(
        state, draw, gradient=gradient, posterior=posterior, step_size=dial.step_size, friction=dial.friction
    )


def _mala(state: Any, draw: Draw, gradient: Gradient, posterior: Posterior, dial: Dial) -> tuple[AnyState, Info]:
    return mala.step(state, draw, gradient=gradient, posterior=posterior, step_size=dial.step_size)


def _hmc(state: Any, draw: Draw, gradient: Gradient, posterior: Posterior, dial: Dial) -> tuple[AnyState, Info]:
    return hmc.step(state, draw, gradient=gradient, posterior=posterior, step_size=dial.step_size)


ALGORITHMS = {
    "sgld": Algorithm(lambda w, gradient, posterior: sgld.init(w), _sgld, sgld.State),
    "rmsprop_sgld": Algorithm(lambda w, gradient, posterior: rmsprop_sgld.init(w), _rmsprop, rmsprop_sgld.State),
    "sghmc": Algorithm(sghmc.init, _sghmc, sghmc.State),
    "mala": Algorithm(mala.init, _mala, mala.State, exact=True),
    "hmc": Algorithm(hmc.init, _hmc, hmc.State, exact=True, trajectories=True),
}
