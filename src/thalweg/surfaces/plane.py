"""The loss on a plane through w*:     L(w* + x d1 + y d2)

N points a side of the plane.

Source: directions after Li et al. 2018 (arXiv 1712.09913). We differ where a filter is a row of axis 0, as torch
lays out weights.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from thalweg.errors import InputError
from thalweg.landscape import Landscape, measure
from thalweg.rng import stream
from thalweg.surfaces._losses import are_drawn, losses_at, mean_error
from thalweg.types import Params


@dataclass(frozen=True, eq=False)
class Surface:
    """The loss on a plane through w*, which is its middle.

    Attributes:
        x: (N,) along d1, in lengths of it.
        y: (N,) along d2.
        loss: (N, N), row by y and column by x, in the unit of the landscape's loss.
        stderr: (N, N) standard errors of the means over samples, were they drawn anew; None where they are no draws.
    """

    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    stderr: np.ndarray | None


def surface(
    landscape: Landscape,
    *,
    size: int = 21,
    extent: float = 1.0,
    seed: int = 0,
    directions: Literal["filters", "gradient"] = "filters",
) -> Surface:
    """The loss on the plane w* + x d1 + y d2, x and y from -extent to extent.

    Args:
        landscape: at w*. Weights that its masks close do not move; that it is closed along the gradient is
            left aside.
        size: N, odd, so that w* is a point of the grid.
        extent: in lengths of the directions; at 1 a filter moves by its own norm.
        seed: names the directions, each normalised by filters.
        directions: `gradient` puts steepest descent in the place of d1, at d1's length.

    Raises:
        InputError: a size that is not odd, a direction of no length, a loss that is not finite.
    """
    check_plane(size, extent)
    if directions not in ("filters", "gradient"):
        raise InputError(f"directions {directions!r}: one of filters, gradient")
    flatten = landscape.layout.flatten
    d1, d2 = (flatten(_direction(landscape, seed, number)) for number in (1, 2))
    if not d1.norm() > 0:
        raise InputError("every filter of w* is zero, no direction has a length: choose a later checkpoint")
    if directions == "gradient":
        d1 = -measure(landscape).normal * d1.norm()
        if not d1.norm() > 0:
            raise InputError('the gradient at w* is zero: give directions="filters"')
    axis = np.linspace(-extent, extent, size)
    axis[size // 2] = 0.0
    y, x = (torch.as_tensor(part.reshape(-1, 1)).to(d1) for part in np.meshgrid(axis, axis, indexing="ij"))
    points = flatten(landscape.params) + x * d1 + y * d2
    parts = [(p.mean(1), mean_error(p)) for p in losses_at(landscape, points, "loss on the plane")]
    loss = np.concatenate([mean for mean, _ in parts]).reshape(size, size)
    if not np.isfinite(loss).all():
        row, column = np.argwhere(~np.isfinite(loss))[0]
        raise InputError(
            f"loss is not finite at x = {axis[column]:g}, y = {axis[row]:g} of the plane: give a smaller extent"
        )
    errors = None if not are_drawn(landscape) else np.concatenate([e for _, e in parts]).reshape(size, size)
    return Surface(axis, axis.copy(), loss, errors)


def check_plane(size: int, extent: float) -> None:
    """Refuse a grid that cannot be had, before anything is computed.

    Raises:
        InputError: a size that is not odd, an extent that is not above 0.
    """
    if size < 3 or size % 2 == 0:
        raise InputError(f"size {size}: give an odd number of points a side, at least 3, so that w* is one of them")
    if not 0 < extent < float("inf"):
        raise InputError(f"extent {extent}: give a number above 0")


def has_plane(landscape: Landscape) -> bool:
    """Whether some filter of w* has a length; tabular logits that begin at zero have none."""
    return any(bool(d.any()) for d in _direction(landscape, 0, 1).values())


def _direction(landscape: Landscape, seed: int, number: int) -> Params:
    """One of the two Gaussian directions whose filters have the norms of those of w*; zero where masks close.

    A filter is what belongs to one index of axis 0, the output of a torch layer; parameters of one axis (biases)
    have zero. Where no parameter has two axes, each parameter is one filter.
    """
    masks = landscape.restriction.masks or {}
    flat = all(w.ndim < 2 for w in landscape.params.values())
    found = {}
    for name, w in landscape.params.items():
        if w.ndim < 2 and not flat:
            found[name] = torch.zeros_like(w)
            continue
        mask = masks[name].cpu() if name in masks else torch.ones(w.shape)
        rows = 1 if flat else len(w)
        noise = torch.randn(w.shape, generator=stream(seed, "surface", number, name), dtype=torch.float64) * mask
        wanted = (w.detach().cpu().double() * mask).reshape(rows, -1).norm(dim=1, keepdim=True)
        own = noise.reshape(rows, -1)
        length = own.norm(dim=1, keepdim=True)
        scaled = own * torch.where(length > 0, wanted / length, torch.zeros_like(length))
        found[name] = scaled.reshape(w.shape).to(w)
    return found
