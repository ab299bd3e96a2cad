"""The minimum of the localized loss that a descent from w* ends in.                              D weights

    U(w) = nbeta L_n(w) + (gamma/2) |t (w - w*)|^2,    grad U(w_r) = 0

Newton steps by conjugate gradients in a trust region, which starts at a tenth of 1/sqrt(gamma) and follows how far
the parabola holds: an unguarded step would jump into other basins. Products with the Hessian are differences of
gradients, so that whatever has a gradient has them. Where a kink refuses its steps, L-BFGS goes on from there.
Numbers are float64 where the model can be computed so.

What is left, |grad U|^2 / (2 gamma), is by how much U lies above its minimum at most where L is convex. It is brought
below AIM. A loss with kinks (ReLU) has its minimum between the pieces, where the gradient jumps by nbeta/n times a
sample's: there TOLERANCE a weight is enough, and MOST in all.

Source: Nocedal & Wright, Numerical Optimization, algorithms 7.2 and 7.5; by scipy (`trust-ncg`, `L-BFGS-B`). For
L-BFGS at kinks: Lewis & Overton 2013. The definition is ours.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from thalweg.errors import InputError
from thalweg.landscape.center import ROWS, Center, measure
from thalweg.landscape.landscape import Landscape
from thalweg.landscape.records import Relaxation
from thalweg.tree import map_tensors

AIM, TOLERANCE, MOST = 1e-4, 1e-3, 1.0  # nats that may be left: aimed at, for each weight, and in all
COST = 5000  # gradients of one replica on the full data
REFUSED, ENOUGH = 12, 4  # steps in a row, each a quarter of the one before: only a kink or rounding is left; if near
MEMORY = 20  # pairs of L-BFGS
RADIUS = 0.1  # of 1/sqrt(gamma), the first trust region

Seen = tuple[float, np.ndarray]  # U in nats, its gradient (D,)


def relax(scape: Landscape, center: Center, nbeta: float, gamma: float) -> Center:
    """Go from w* down to the minimum of the localized loss, in the open directions.

    Args:
        scape: that the checkpoint lies in.
        center: w*.
        nbeta: > 0.
        gamma: > 0 of the localization, which stays at w*.

    Returns:
        What is read at w_r, with how far it is and what it cost. Where the descent did not come that near in COST
        gradients, `relaxation.reason` says so, and the point is where it stopped.

    Raises:
        InputError: gamma is 0: without a localization there need be no minimum.
    """
    if not gamma > 0:
        raise InputError("a relaxed point needs a localization: give a gamma above 0")
    descent = _Descent(scape, center, nbeta, gamma)
    move, reason = descent.run()
    narrow = 1.0 if scape.localization is None else 1 / scape.localization.double()
    place = (center.params.double() + narrow * descent.tensor(move)).to(center.params.dtype)
    found = measure(replace(scape, params=scape.layout.unflatten(place), frozen=center.frozen))
    told = Relaxation(
        distance=float(np.linalg.norm(move)) * math.sqrt(gamma / descent.open),
        nats_gained=nbeta * (descent.base - descent.loss(move)),
        gradients=descent.spent,
        loss=center.loss,
        weight_norm=float(center.params.double().norm()),
        gradient_norm=float(center.gradient.double().norm()),
        reason=reason,
    )
    return replace(found, relaxation=told)


def sampled_point(scape: Landscape, center: Center, nbeta: float, gamma: float) -> Center:
    """The point that chains are tied to: w*, or where it relaxes to if the landscape takes points as `relaxed`."""
    return relax(scape, center, nbeta, gamma) if scape.restriction.kind == "relaxed" else center


class _EndedError(Exception):
    """The descent has cost all that it may, or no step leads down any more."""


@dataclass(eq=False)
class _Descent:
    """U as a function of the move t (w - w*), and what was seen last.

    Attributes:
        scape: with its mask and localization.
        center: w*.
        nbeta: of the loss.
        gamma: of the localization.
        spent: gradients so far.
    """

    scape: Landscape
    center: Center
    nbeta: float
    gamma: float
    spent: int = 0
    last: tuple[np.ndarray, float, np.ndarray] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Read the loss at w*, in float64 if it can be."""
        mask = self.scape.mask
        self.open = self.scape.layout.width if mask is None else int(mask.sum())
        self.wide = True
        try:
            self.base, slope = _losses(self.scape, self.center, self.center.params.double(), wide=True)
            self.wide = slope.dtype == torch.float64 and math.isfinite(self.base)
        except Exception:  # of the module: tensors of its own that are no float64, say
            self.wide = False
        if not self.wide:
            self.base = _losses(self.scape, self.center, self.center.params, wide=False)[0]

    def run(self) -> tuple[np.ndarray, str]:
        """The move that it ends with, and why that is no minimum; empty where it is one."""
        best, cut = np.zeros(self.scape.layout.width), min(MOST, TOLERANCE * self.open)
        for way in (self._newton, self._quasi_newton):
            with suppress(_EndedError):
                way(best, self._watch(best, cut))
            left = self._left(self._at(best)[1])
            if left <= cut:
                return best, ""
        kind = "" if self.wide else "; it runs in float32, in which alone the model can be computed"
        return best, (
            f"the descent from w* ended {left:.2g} nats from a minimum of the localized loss, after {self.spent}"
            f" gradients (cuts {cut:.2g} nats, {COST} gradients){kind}: take a larger gamma, or train further"
        )

    def _watch(self, best: np.ndarray, cut: float) -> Callable[[np.ndarray], None]:
        """Keep each place in `best`, and end where steps gain nothing any more."""
        before, refused = self._at(best)[0], 0

        def kept(now: np.ndarray) -> None:
            nonlocal before, refused
            refused = refused + 1 if np.array_equal(now, best) else 0
            best[:] = now
            value, slope = self._at(now)
            near = self._left(slope) <= cut
            idle = refused == (ENOUGH if near else REFUSED) or (near and not refused and before - value < AIM)
            if idle:
                raise _EndedError
            before = value

        return kept

    def _newton(self, best: np.ndarray, kept: Callable[[np.ndarray], None]) -> None:
        """Follow the trust region from `best` on."""
        options = {
            "initial_trust_radius": RADIUS / math.sqrt(self.gamma),
            "max_trust_radius": math.sqrt(self.open / self.gamma),
            "gtol": math.sqrt(2 * self.gamma * AIM),
        }
        given = {"jac": True, "hessp": self.product, "callback": kept, "options": options}
        best[:] = minimize(self.seen, best.copy(), method="trust-ncg", **given).x

    def _quasi_newton(self, best: np.ndarray, kept: Callable[[np.ndarray], None]) -> None:
        """Follow the line searches of L-BFGS, which kinks do not stop; the first step is the trust region's first."""
        unit = RADIUS / math.sqrt(self.gamma)

        def scaled(z: np.ndarray) -> Seen:
            value, slope = self.seen(unit * z)
            return value, unit * slope

        options = {"maxiter": COST, "maxfun": COST, "maxcor": MEMORY, "gtol": 0.0, "ftol": 0.0}
        given = {"jac": True, "callback": lambda z: kept(unit * z), "options": options}
        minimize(scaled, best / unit, method="L-BFGS-B", **given)

    def seen(self, move: np.ndarray) -> Seen:
        """U and its gradient; infinite where it is not finite, so that no step is taken to there."""
        if self.spent >= COST:
            raise _EndedError
        value, slope = self._at(move)
        return (value, slope) if math.isfinite(value) and np.isfinite(slope).all() else (math.inf, 0 * move)

    def product(self, move: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Of the Hessian of U with a direction, by the difference of two gradients."""
        length = float(np.linalg.norm(direction))
        if length == 0:
            return 0 * direction
        if self.spent >= COST:
            raise _EndedError
        before = self._at(move)[1]
        dtype = torch.float64 if self.wide else self.center.params.dtype
        reach = math.sqrt(torch.finfo(dtype).eps) * (1 + float(self.center.params.double().norm())) / length
        held, self.last = self.last, None
        moved = (self._at(move + reach * direction)[1] - before) / reach
        self.last = held
        return moved

    def loss(self, move: np.ndarray) -> float:
        """L_n there, nats per sample."""
        return self.base + (self._at(move)[0] - 0.5 * self.gamma * float(np.square(move).sum())) / self.nbeta

    def _left(self, slope: np.ndarray) -> float:
        """By how many nats U is above its minimum at most, where L is convex."""
        return float(np.square(slope).sum()) / (2 * self.gamma)

    def tensor(self, move: np.ndarray) -> Tensor:
        """A move as a tensor beside the weights."""
        return torch.as_tensor(move, dtype=torch.float64, device=self.center.params.device)

    def _at(self, move: np.ndarray) -> Seen:
        """U minus its value at w*, and the gradient over open directions; computed once at one place."""
        if self.last is not None and np.array_equal(self.last[0], move):
            return self.last[1:]
        narrow = torch.ones(()) if self.scape.localization is None else 1 / self.scape.localization.double()
        narrow = narrow if self.scape.mask is None else narrow * self.scape.mask
        loss, slope = _losses(
            self.scape, self.center, self.center.params.double() + narrow * self.tensor(move), wide=self.wide
        )
        self.spent += 1
        value = self.nbeta * (loss - self.base) + 0.5 * self.gamma * float(np.square(move).sum())
        pull = self.nbeta * (narrow * slope.double()).cpu().numpy() + self.gamma * move
        self.last = move.copy(), value, pull
        return value, pull


def _losses(scape: Landscape, center: Center, flat: Tensor, *, wide: bool) -> tuple[float, Tensor]:
    """Mean loss and its gradient (D,) over the full data, in float64 or in the model's own numbers."""
    cast = _double if wide else _same
    flat = flat if wide else flat.to(center.params.dtype)
    params = {k: w.detach().clone().requires_grad_() for k, w in scape.layout.unflatten(flat).items()}
    frozen = {k: cast(w) for k, w in center.frozen.items()}
    count = 1 if scape.data is None else len(scape.data)
    total, loss = torch.zeros_like(flat), 0.0
    for start in range(0, count, ROWS):
        inputs, targets = (None, None) if scape.data is None else scape.data.take(slice(start, start + ROWS))
        with torch.enable_grad():
            losses = scape.losses(params, frozen, map_tensors(cast, inputs), cast(targets))
            grads = torch.autograd.grad(losses.sum(), list(params.values()), materialize_grads=True)
        if wide and losses.dtype != torch.float64:
            raise TypeError("the losses are no float64")
        total += scape.layout.flatten(dict(zip(params, grads, strict=True)))
        loss += float(losses.detach().double().sum())
    return loss / count, total / count


def _double(thing: Any) -> Any:
    """A tensor of real numbers in float64; anything else as it is."""
    return thing.double() if isinstance(thing, Tensor) and thing.is_floating_point() else thing


def _same(thing: Any) -> Any:
    return thing
