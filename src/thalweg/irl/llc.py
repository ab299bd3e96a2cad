"""The learning coefficient of an agent's likelihood, and the radius of her confidence set that it predicts.

Source: Watanabe 2009; predictions at leading order in n, never a certificate."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.estimators import estimate_llc
from thalweg.irl._batched_likelihood import Scored
from thalweg.irl._scoring import most_likely
from thalweg.irl.choice_models import Boltzmann, Soft
from thalweg.irl.likelihood import Likelihood
from thalweg.landscape import Estimate, Landscape, PotentialLosses, potential


@dataclass(frozen=True)
class _ScoredLosses(PotentialLosses):
    """-l / n of moves y from a point, with the gradients of all replicas at once."""

    own_gradients: ClassVar[bool] = True

    scored: Scored
    at: Tensor
    basis: Tensor

    def gradients(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Moves (R, D) -> gradients (R, D) and losses (R,)."""
        points = (self.at + (params[:, None] @ self.basis.T)[:, 0]).numpy()  # rows one by one: no row's bits differ
        value, slope = (torch.from_numpy(x) / -self.scored.likelihood.choices for x in self.scored(points))
        return (slope[:, None] @ self.basis)[:, 0], value


@dataclass(frozen=True)
class _SoftLosses(PotentialLosses):
    """The same of a soft chooser, whose policies change with every move: one pass of autograd for all replicas."""

    own_gradients: ClassVar[bool] = True

    likelihood: Likelihood
    at: Tensor
    basis: Tensor

    def gradients(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Moves (R, D) -> gradients (R, D) and losses (R,)."""
        with torch.inference_mode(False), torch.enable_grad():
            moves = params.clone().requires_grad_()
            points = self.at + (moves[:, None] @ self.basis.T)[:, 0]
            value = -self.likelihood(points) / self.likelihood.choices
            (slope,) = torch.autograd.grad(value.sum(), moves)
        return slope, value.detach()


def _losses(likelihood: Likelihood, point: Any) -> Landscape:
    """The landscape of an agent's mean loss -l / n, nats a choice, around a point of its class.

    Its weights are moves y from the point, theta = point + B y, B orthonormal; where the choice model is relative
    B leaves out the direction of theta itself: the loss does not depend on its length, and is singular where that
    is 0. All choices enter at once by their counts. Gradients of a Boltzmann or soft chooser come for all replicas
    at once, and of the first a policy is planned for once; those of other rules cost a plan for each environment
    and replica.
    """
    at = torch.as_tensor(point, dtype=torch.float64)
    if at.shape != (likelihood.width,):
        raise InputError(f"point has shape {tuple(at.shape)}: give ({likelihood.width},)")
    width, basis = likelihood.values.weights, torch.eye(len(at), dtype=torch.float64)
    if likelihood.relative:
        length = torch.cat([at[:width], at.new_zeros(len(at) - width)])
        basis = torch.linalg.svd(length[:, None])[0][:, 1:]
    whole = lambda w: -likelihood(at + basis @ w["move"]) / likelihood.choices  # noqa: E731
    found = potential(whole, {"move": at.new_zeros(basis.shape[1])}, round(likelihood.choices))
    if isinstance(likelihood.choice_model, Boltzmann):
        own = _ScoredLosses(whole, Scored(likelihood, at), at, basis)
    elif isinstance(likelihood.choice_model, Soft):
        own = _SoftLosses(whole, likelihood, at, basis)
    else:
        return found
    return replace(found, losses=own, engine="batched", engine_reason="the loss gives all replicas' gradients")


def behaviour_llc(likelihood: Likelihood, point: Any = None, **settings: Any) -> Estimate:
    """The learning coefficient of an agent's likelihood at its most likely values.

    Args:
        likelihood: of the choices.
        point: (width,) default the most likely.
        **settings: as of `tw.estimate_llc`.

    Returns:
        lambda with its error, or a reason. Half the directions that are seen where n is large and the likelihood
        regular; kinks of the likelihood, where the best policy changes, make it differ at finite n.
    """
    at = most_likely(likelihood, torch.Generator().manual_seed(0)) if point is None else point
    return estimate_llc(_losses(likelihood, at), progress=False, **settings)


@dataclass(frozen=True)
class Radius:
    """How far a confidence set is predicted to reach: n (L(w) - L(w_hat)) <= nats.

    Attributes:
        nats: lambda log n + log(1 / delta).
        llc: lambda.
        choices: n.
        delta: of the set.
        label: always `predicted`: the leading order in n, of an estimated lambda. It certifies nothing.
    """

    nats: float
    llc: float
    choices: int
    delta: float
    label: Literal["predicted"] = "predicted"


def predicted_radius(llc: float | Estimate, choices: int, delta: float) -> Radius:
    """The radius of C = {l >= log Z - log(1 / delta)} that singular learning theory predicts.

        log Z = l(w_hat) - lambda log n + O(log log n),   so   n (L(w) - L(w_hat)) <= lambda log n + log(1 / delta)

    Args:
        llc: lambda, as a number or an estimate.
        choices: n, at least 2.
        delta: in (0, 1).

    Raises:
        InputError: numbers out of range.
        UnhealthyError: an estimate without a value.
    """
    size = llc.value if isinstance(llc, Estimate) else float(llc)
    if choices < 2 or not 0 < delta < 1 or not math.isfinite(size) or size < 0:
        raise InputError(
            f"llc {size}, choices {choices}, delta {delta}: give at least 0, at least 2, and one in (0, 1)"
        )
    return Radius(size * math.log(choices) + math.log(1 / delta), size, choices, delta)
