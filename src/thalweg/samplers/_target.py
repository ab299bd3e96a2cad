"""What a sampler is given: the random numbers of a step, and the gradient of the loss.       R replicas, D weights"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from thalweg.landscape import LocalizedPosterior

Gradient = Callable[[Tensor], tuple[Tensor, Tensor]]  # (R, D) -> gradient (R, D) and value (R,) of the mean loss


class Draw(NamedTuple):
    """Random numbers of one step. Row r comes from replica r's stream alone.

    Attributes:
        noise: (R, D) standard normal.
        uniform: (R, 2) in [0, 1): acceptance, and the step of a trajectory.
        leapfrog_steps: gradients of a trajectory, one number for all replicas.
    """

    noise: Tensor
    uniform: Tensor
    leapfrog_steps: int = 1


class Info(NamedTuple):
    """What is seen in a step.

    Attributes:
        loss: (R,) nats per sample, at the state that the step started from, on the step's batch.
        accepted: (R,) probability of acceptance; 1 where nothing is refused.
    """

    loss: Tensor
    accepted: Tensor


def potential(posterior: LocalizedPosterior, params: Tensor, loss: Tensor) -> Tensor:
    """U = nbeta L + (gamma/2) |w - w*|^2 in float64, (R,) nats."""
    localization = 0.5 * (posterior.gamma.double() * (params - posterior.center).double().square()).sum(1)
    return posterior.nbeta[:, 0].double() * loss.double() + localization


def force(posterior: LocalizedPosterior, params: Tensor, loss_gradient: Tensor) -> Tensor:
    """Gradient of U in the open directions, (R, D)."""
    return posterior.project(posterior.gradient(params, loss_gradient))
