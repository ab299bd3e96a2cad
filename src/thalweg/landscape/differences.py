"""Losses and gradients near w*, in the finest numbers that a landscape takes, and what they cost.     D weights

    f(t) = mean of s_i l_i(w + t v),       (f(t) - f(-t)) / 2t  against  grad f(w) . v

The s_i, of mean 1, keep f away from its minimum, where every gradient is near zero.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, log

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from thalweg.landscape.landscape import Landscape
from thalweg.rng import stream
from thalweg.tree import leaves, map_tensors
from thalweg.types import Params, Tree

PASSES = 24  # forward passes in all
ROWS = 256  # samples of a pass
WHOLE = 16.0  # roundings of a mean of losses
FINE = 1e-5  # length of a step in units of a draw's, in float64, where kinks are rare
COARSE = (0.05, 5e-4)  # of each weight in float32: above rounding, or below most jumps
SURE = 3.0  # times what kinks, curvature and rounding explain
SHARE = {True: 1e-6, False: 1e-3}  # rounding of the gradient itself, of the sum over parameters


class Narrowed(Exception):  # noqa: N818  (it ends a trial, it is no error)
    """A computation that was started in float64 went on in fewer bits."""


class Wide(TorchDispatchMode):
    """Ends a computation at the first kernel that makes a shorter number of a float64."""

    def __torch_dispatch__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """Run the kernel, and look at what it returns."""
        found = func(*args, **(kwargs or {}))
        given = [t for t in leaves((args, kwargs or {})) if isinstance(t, Tensor)]
        if any(t.dtype == torch.float64 for t in given) and any(
            isinstance(t, Tensor) and t.is_floating_point() and t.dtype != torch.float64 for t in leaves(found)
        ):
            raise Narrowed
        return found


class Differences:
    """The weighted mean loss of some samples as a function of all weights that move.

    Attributes:
        left: forward passes that may still be made.
        fine: whether all is computed in float64.
        steps: of differences, in units of a direction's length.
        places: start and size of each parameter in the flat vector.
        center: (D,) w*.
        open: (D,) bool, which weights move.
        sigma: (D,) 1/sqrt(nbeta) in units of the tether, the size of a posterior's draws.
        nbeta: n / log n.
    """

    def __init__(self, scape: Landscape) -> None:
        """Choose samples, and the type of number."""
        self.scape, self.left = scape, PASSES
        self.nbeta = scape.n / log(scape.n)
        flat = scape.layout.flatten({k: w.detach() for k, w in scape.params.items()})
        mask = scape.mask
        self.open = torch.ones_like(flat, dtype=torch.bool) if mask is None else mask > 0
        tether = torch.ones_like(flat) if scape.tether is None else scape.tether
        count = 1 if scape.data is None else len(scape.data)
        own = stream(0, "gradient check", "samples")
        rows = torch.randperm(count, generator=own)[:ROWS].sort().values.to(flat.device)
        self.weights = -torch.rand(len(rows), generator=own, dtype=torch.float64).to(flat.device).log()
        self.batch = (None, None) if scape.data is None else scape.data.take(rows)
        self.dtype, self.fine = torch.float64, True
        self.center, self.sigma = flat, (self.nbeta**-0.5) / tether
        try:
            with Wide(), torch.no_grad():
                self._losses(self._split(flat.double()))
        except Exception:  # of any kind: the module knows no float64, and is tried as it is
            self.dtype, self.fine = flat.dtype, False
        self.center, self.sigma = self.center.to(self.dtype), self.sigma.to(self.dtype)
        self.steps = (FINE / max(len(flat), 100) ** 0.5,) if self.fine else COARSE
        sizes = scape.layout.sizes
        self.places = [(sum(sizes[:k]), size) for k, size in enumerate(sizes)]

    def rounding(self, losses: Tensor, step: float) -> float:
        """Of a difference quotient; a nat more, for the numbers that losses are made of may be larger."""
        eps = torch.finfo(torch.float64 if self.fine else torch.float32).eps
        return WHOLE * eps * (float(losses.abs().sum()) + 1) / step

    def noise(self, *names: str | int) -> Tensor:
        """(D,) standard normal, zero where nothing moves."""
        own = stream(0, "gradient check", *names)
        drawn = torch.randn(len(self.center), generator=own, dtype=torch.float64).to(self.center)
        return drawn * self.open

    def losses(self, at: Tensor) -> Tensor:
        """(B,) float64, weighted, each over B: their sum is f."""
        with torch.no_grad():
            return self._weighted(self._losses(self._split(at)))

    def graded(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the gradient (D,) of f by autograd; zero where it has none."""
        params = {k: w.requires_grad_() for k, w in self._split(at).items()}
        with torch.enable_grad():
            losses = self._weighted(self._losses(params))
            found = [torch.zeros_like(w) for w in params.values()]
            if losses.requires_grad:
                found = torch.autograd.grad(losses.sum(), list(params.values()), materialize_grads=True)
        dense = [g.to_dense() if g.is_sparse else g for g in found]
        return losses.detach(), self.scape.layout.flatten(dict(zip(params, dense, strict=True))) * self.open

    def _split(self, at: Tensor) -> Params:
        """Named weights of their own, since a module may write to them."""
        return {k: w.detach().clone() for k, w in self.scape.layout.unflatten(at).items()}

    def _weighted(self, losses: Tensor) -> Tensor:
        return losses.double() * self.weights / len(self.weights)

    def _losses(self, params: Params) -> Tensor:
        """Losses (B,), one pass."""
        self.left -= 1
        frozen = {k: _as(w, self.dtype).clone() for k, w in self.scape.frozen.items()}
        inputs, targets = map_tensors(lambda t: _as(t, self.dtype), self.batch)
        losses = self.scape.losses(params, frozen, inputs, targets)
        if self.fine and losses.dtype != torch.float64:
            raise Narrowed
        return losses


def _as(tree: Tree, dtype: torch.dtype) -> Tree:
    """Floats in another type."""
    return tree.to(dtype) if isinstance(tree, Tensor) and tree.is_floating_point() else tree


@dataclass(frozen=True, eq=False)
class Seen:
    """One draw, and a direction from it.

    Attributes:
        at: (D,) weights.
        losses: (B,) there.
        gradient: (D,) by autograd.
        way: (D,) direction.
        slope: gradient . way.
        error: by how much the loss changes otherwise, per unit of the direction.
        doubt: what kinks, curvature and rounding explain of it.
        step: of the difference that leaves the least doubt.
    """

    at: Tensor
    losses: Tensor
    gradient: Tensor
    way: Tensor
    slope: float = 0.0
    error: float = 0.0
    doubt: float = inf
    step: float = 0.0

    @property
    def wrong(self) -> bool:
        """Whether the gradient is another function's."""
        return abs(self.error) > self.doubt


def drawn(near: Differences, k: int) -> Seen | None:
    """A draw with its gradient, and a direction; None where the loss is not finite."""
    at = near.center + near.sigma * near.noise("draw", k)
    losses, gradient = near.graded(at)
    if not (losses.isfinite().all() and gradient.isfinite().all()):
        return None
    way = near.sigma * near.noise("direction", k)
    nats = [near.nbeta * (near.sigma[s : s + n] * gradient[s : s + n]).norm() for s, n in near.places]
    parts = [way[s : s + n] / (1 + e) for (s, n), e in zip(near.places, nats, strict=True)]
    return Seen(at, losses, gradient, torch.cat(parts))  # no steep parameter hides the others


def compared(near: Differences, one: Seen, silent: Tensor) -> Seen:
    """Central difference along the draw's direction, against autograd, over all that has a gradient.

    A kink between the points lies between the one-sided differences, and the gradient with it.
    """
    way = one.way * ~silent
    each = [float((one.gradient[s : s + n] * way[s : s + n]).sum()) for s, n in near.places]
    best = replace(one, way=way, slope=sum(each))
    for step in near.steps:
        ahead, behind = near.losses(one.at + step * way), near.losses(one.at - step * way)
        if not (ahead.isfinite().all() and behind.isfinite().all()):
            continue
        change = float((ahead - behind).sum()) / (2 * step)
        bent = float((ahead - 2 * one.losses + behind).abs().sum()) / (2 * step)
        doubt = SURE * bent + near.rounding(one.losses, step) + SHARE[near.fine] * sum(map(abs, each))
        if doubt < best.doubt:
            best = replace(best, error=change - best.slope, doubt=doubt, step=step)
    return best
