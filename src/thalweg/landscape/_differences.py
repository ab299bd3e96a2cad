"""Losses and gradients near w*, in the finest numbers that a landscape takes, and what they cost.     D weights

    f(t) = mean of s_i l_i(w + t v),       (f(t) - f(-t)) / 2t  against  grad f(w) . v

The s_i, of mean 1, keep f away from its minimum, where every gradient is near zero.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
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


class _Narrowed(Exception):  # noqa: N818  (it ends a trial, it is no error)
    """A computation that was started in float64 went on in fewer bits."""


class _Wide(TorchDispatchMode):
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
            raise _Narrowed
        return found


class Differences:
    """The weighted mean loss of some samples as a function of all weights that move.

    Attributes:
        left: forward passes that may still be made.
        fine: whether all is computed in float64.
        steps: of differences, in units of a direction's length.
        starts: where each parameter begins in the flat vector, and the end.
        center: (D,) w*.
        open: (D,) bool, which weights move.
        sigma: () or (D,) 1/sqrt(nbeta) in units of the localization, the size of a posterior's draws.
        nbeta: n / log n.
    """

    def __init__(self, scape: Landscape) -> None:
        """Choose samples, and the type of number."""
        self.scape, self.left = scape, PASSES
        self.nbeta = scape.n / log(scape.n)
        flat = scape.layout.flatten({k: w.detach() for k, w in scape.params.items()})
        mask = scape.mask
        self.open = torch.ones_like(flat, dtype=torch.bool) if mask is None else mask > 0
        localization = torch.ones((), dtype=flat.dtype) if scape.localization is None else scape.localization
        count = 1 if scape.data is None else len(scape.data)
        own = stream(0, "gradient check", "samples")
        rows = torch.randperm(count, generator=own)[:ROWS].sort().values.to(flat.device)
        weights = -torch.rand(len(rows), generator=own, dtype=torch.float64).log()
        self.weights = (weights / weights.sum()).to(flat.device)
        self.batch = (None, None) if scape.data is None else scape.data.take(rows)
        self.dtype, self.fine = torch.float64, True
        self.center, self.sigma = flat, (self.nbeta**-0.5) / localization
        try:
            with _Wide(), torch.no_grad():
                self._losses(self._split(flat.double()))
        except Exception:  # of any kind: the module knows no float64, and is tried as it is
            self.dtype, self.fine = flat.dtype, False
        self.center, self.sigma = self.center.to(self.dtype), self.sigma.to(self.dtype)
        self.steps = (FINE / max(len(flat), 100) ** 0.5,) if self.fine else COARSE
        self.starts = list(accumulate(scape.layout.sizes, initial=0))

    def rounding(self, losses: Tensor, step: float) -> float:
        """Of a difference quotient; a nat more, for the numbers that losses are made of may be larger."""
        eps = torch.finfo(torch.float64 if self.fine else torch.float32).eps
        return WHOLE * eps * (float(losses.abs().sum()) + 1) / step

    def noise(self, *names: str | int) -> Tensor:
        """(D,) standard normal, zero where nothing moves."""
        own = stream(0, "gradient check", *names)
        drawn = torch.randn(len(self.center), generator=own, dtype=torch.float64)
        return drawn.to(self.center).mul_(self.open)

    def at(self, number: int) -> Tensor:
        """(D,) a draw; made again where it is asked for, since ten vectors of all weights are many."""
        return self.noise("draw", number).mul_(self.sigma).add_(self.center)

    def losses(self, at: Tensor) -> Tensor:
        """(B,) float64, each by its weight: their sum is f."""
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
        return losses.detach(), self.scape.layout.flatten(dict(zip(params, dense, strict=True))).mul_(self.open)

    def _split(self, at: Tensor) -> Params:
        """Named weights of their own, since a module may write to them."""
        return {k: w.detach().clone() for k, w in self.scape.layout.unflatten(at).items()}

    def _weighted(self, losses: Tensor) -> Tensor:
        return losses.double() * self.weights

    def _losses(self, params: Params) -> Tensor:
        """Losses (B,), one pass."""
        self.left -= 1
        frozen = {k: _as(w, self.dtype).clone() for k, w in self.scape.frozen.items()}
        inputs, targets = map_tensors(lambda t: _as(t, self.dtype), self.batch)
        losses = self.scape.losses(params, frozen, inputs, targets)
        if self.fine and losses.dtype != torch.float64:
            raise _Narrowed
        return losses


def _as(tree: Tree, dtype: torch.dtype) -> Tree:
    """Floats in another type."""
    return tree.to(dtype) if isinstance(tree, Tensor) and tree.is_floating_point() else tree


@dataclass(frozen=True, eq=False)
class Seen:
    """One draw, and a direction from it.                                             P parameters

    Attributes:
        number: of the draw.
        losses: (B,) there.
        scales: (P) of the direction; the steeper a parameter the smaller, so that none hides the others.
        slopes: (P) gradient . direction, by autograd.
        error: by how much the loss changes otherwise, per unit of the direction.
        doubt: what kinks, curvature and rounding explain of it.
        step: of the difference that leaves the least doubt.
    """

    number: int
    losses: Tensor
    scales: tuple[float, ...]
    slopes: tuple[float, ...]
    error: float = 0.0
    doubt: float = inf
    step: float = 0.0

    @property
    def wrong(self) -> bool:
        """Whether the gradient is another function's."""
        return abs(self.error) > self.doubt

    def way(self, near: Differences) -> Tensor:
        """(D,) the direction."""
        found = near.sigma * near.noise("direction", self.number)
        for start, end, scale in zip(near.starts, near.starts[1:], self.scales, strict=False):
            found[start:end] *= scale
        return found


def drawn(near: Differences, number: int) -> tuple[Seen, Tensor] | None:
    """A draw, and which weights (D,) have no gradient there; None where the loss is not finite."""
    losses, gradient = near.graded(near.at(number))
    if not (losses.isfinite().all() and gradient.isfinite().all()):
        return None
    sizes, way = near.scape.layout.sizes, near.sigma * near.noise("direction", number)
    scales = [1 / (1 + near.nbeta * float(part.norm())) for part in (near.sigma * gradient).split(sizes)]
    slopes = [scale * float(part.sum()) for scale, part in zip(scales, (gradient * way).split(sizes), strict=True)]
    return Seen(number, losses, tuple(scales), tuple(slopes)), gradient == 0


def compared(near: Differences, one: Seen, silent: Tensor) -> Seen:
    """Central differences along the draw's direction, against autograd, over all that has a gradient.

    A kink between the points lies between the one-sided differences, and the gradient with it.
    """
    at, way, best = near.at(one.number), one.way(near) * ~silent, one
    for step in near.steps:
        ahead, behind = near.losses(at + step * way), near.losses(at - step * way)
        if not (ahead.isfinite().all() and behind.isfinite().all()):
            continue
        change = float((ahead - behind).sum()) / (2 * step)
        bent = float((ahead - 2 * one.losses + behind).abs().sum()) / (2 * step)
        doubt = SURE * bent + near.rounding(one.losses, step) + SHARE[near.fine] * sum(map(abs, one.slopes))
        if doubt < best.doubt:
            best = replace(best, error=change - sum(one.slopes), doubt=doubt, step=step)
    return best
