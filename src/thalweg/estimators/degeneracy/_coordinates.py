"""The open directions of a landscape as coordinates z, w = w* + z at z = 0: what may not move is not seen."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.landscape import Landscape, ModuleLosses, PerSample, measure
from thalweg.tree import leaves

ROWS = 1024  # samples a pass


@dataclass(frozen=True, eq=False)
class Chart:
    """The open directions of a landscape as coordinates z: the weights that move, less one closed direction."""

    scape: Landscape
    closed: Tensor | None  # (D,) unit normal, or None

    @cached_property
    def flat(self) -> Tensor:
        """(D,) w*."""
        return self.scape.layout.flatten(self.scape.params)

    @cached_property
    def index(self) -> Tensor:
        """Weights that move."""
        mask = self.scape.mask
        return torch.arange(len(self.flat), device=self.flat.device) if mask is None else mask.nonzero().squeeze(1)

    @cached_property
    def mirror(self) -> Tensor | None:
        """Unit u of the reflection 1 - 2uu^T that takes the first axis to the closed direction."""
        if self.closed is None:
            return None
        u = self.closed[self.index].clone()
        u[0] += 1.0 if u[0] >= 0 else -1.0
        return u / u.norm()

    @cached_property
    def width(self) -> int:
        """Open directions d."""
        width = len(self.index) - (self.closed is not None)
        if width == 0:
            raise InputError("the restriction leaves no direction open: open another weight")
        return width

    @cached_property
    def origin(self) -> Tensor:
        """(d,) z of w*."""
        return self.flat.new_zeros(self.width)

    def move(self, z: Tensor) -> Tensor:
        """Coordinates (d,) as a move of weights (D,)."""
        if self.mirror is not None:
            z = torch.cat([z.new_zeros(1), z])
            z = z - 2 * (z @ self.mirror) * self.mirror
        return torch.zeros_like(self.flat).index_add(0, self.index, z)

    def coordinates(self, move: Tensor) -> Tensor:
        """The open part of a move of weights (K, D) as coordinates (K, d)."""
        z = move[:, self.index]
        return z if self.mirror is None else (z - 2 * torch.outer(z @ self.mirror, self.mirror))[:, 1:]

    def losses(self, z: Tensor, start: int, stop: int) -> Tensor:
        """What the landscape gives for some samples."""
        batch = self.scape.data.take(slice(start, stop)) if self.scape.data else (None, None)
        return self.scape.losses(self.scape.layout.unflatten(self.flat + self.move(z)), self.scape.frozen, *batch)

    def of_outputs(self) -> "Chart":
        """The same, with the outputs of the module as if they were its losses."""
        if not isinstance(self.scape.losses, ModuleLosses):
            raise InputError('outputs are known of landscapes made by tw.landscape only: use kind="hessian"')
        return replace(self, scape=replace(self.scape, losses=replace(self.scape.losses, loss=_Raw())))

    def all_losses(self, z: Tensor) -> Tensor:
        """The same for all samples, in float64."""
        with torch.no_grad():
            spans = pairwise([*range(0, sample_count(self.scape), ROWS), sample_count(self.scape)])
            return torch.cat([self.losses(z, *span) for span in spans]).to(torch.float64)


class _Raw(PerSample):
    """In the place of a loss: the outputs themselves, (B, k)."""

    def __init__(self) -> None:
        """There is no loss to keep."""

    def __call__(self, outputs: object, targets: Tensor) -> Tensor:
        """All numbers that the module returned, flat for each sample."""
        numbers = [t.reshape(len(targets), -1) for t in leaves(outputs) if t.is_floating_point()]
        return torch.cat(numbers, 1)


def closed_direction(scape: Landscape) -> Tensor | None:
    """The direction of the gradient, where the restriction closes it and it does not vanish."""
    if not scape.restriction.orthogonal_to_gradient:
        return None
    normal = measure(scape).normal
    return normal if normal.any() else None


def sample_count(scape: Landscape) -> int:
    """Rows of data; one for a potential."""
    return 1 if scape.data is None else len(scape.data)
