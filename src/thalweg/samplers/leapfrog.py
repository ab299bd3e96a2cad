"""The leapfrog rule, and the refusal that makes it exact.                                   R replicas, D weights

    p -= (h/2) grad U(w),   then leapfrog_steps times:  w += h p,  p -= h grad U(w),   of the last p only half

Source: Neal 2011, *MCMC using Hamiltonian dynamics*, section 2.3."""

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

Seen = TypeVar("Seen")
Force = Callable[[Tensor], tuple[Tensor, Seen]]  # (R, D) -> gradient of U (R, D), and what else is seen there


def leapfrog(
    params: Tensor, momentum: Tensor, pull: Tensor, force: Force[Seen], h: Tensor, leapfrog_steps: int
) -> tuple[Tensor, Tensor, Tensor, Seen]:
    """Follow one trajectory from every replica. Nothing is modified.

    Args:
        params: (R, D) where it starts.
        momentum: (R, D) there.
        pull: (R, D) gradient of U there.
        force: gradient of U at any place, and whatever else is seen there.
        h: step, (R, 1) or ().
        leapfrog_steps: at least 1.

    Returns:
        Place, momentum, gradient of U and what else was seen, at the end.
    """
    momentum = momentum.addcmul(h, pull, value=-0.5)
    params = params.addcmul(h, momentum)
    pull, seen = force(params)
    for _ in range(leapfrog_steps - 1):
        momentum = momentum.addcmul(h, pull, value=-1.0)
        params = params.addcmul(h, momentum)
        pull, seen = force(params)
    return params, momentum.addcmul(h, pull, value=-0.5), pull, seen


def kinetic(momentum: Tensor) -> Tensor:
    """|p|^2/2 in float64, (R,) nats."""
    return 0.5 * momentum.double().square().sum(1)


def acceptance(change: Tensor) -> Tensor:
    """min(1, exp(-change of energy)); a trajectory that leaves the finite numbers is refused."""
    return (-change).clamp(max=0).exp().nan_to_num(0.0)
