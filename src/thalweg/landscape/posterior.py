"""The localized posterior of R replicas, and the set of directions in which they may move.

    p(w) ~ exp(-nbeta L_n(w) - (gamma/2) |t (w - w*)|^2),    t = 1 unless rescaled

Source: Lau et al. 2023 (arXiv 2308.12108), eq. 14; the orthogonal restriction is the correction for
checkpoints that are not minima of Panickssery & Vaintrob 2023.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from thalweg.types import Params


@dataclass(frozen=True, eq=False)
class Restriction:
    """Which directions move, and how strongly each is tied to w*.

    Attributes:
        masks: {name: bool tensor of the parameter's shape}; False stays where it is. Names that
            are missing move whole.
        orthogonal_to_gradient: only directions orthogonal to the full-data gradient at w*.
        localization: {name: number or tensor of the parameter's shape} t > 0; the localization of a weight is
            gamma t^2, so that lengths are measured in units of 1/t. Missing names have 1.
        held: what the masks hold because the loss depends on it and gives it no gradient, by name.
    """

    masks: Params | None = None
    orthogonal_to_gradient: bool = False
    localization: Params | None = None
    held: tuple[str, ...] = ()


class LocalizedPosterior(NamedTuple):
    """What the target of R replicas is made of.

    Attributes:
        center: (R, D) w*.
        nbeta: (R, 1) > 0.
        gamma: (R, 1) >= 0, nats per squared weight.
        mask: (D,) 1 where a weight moves, or None where all do.
        normal: (R, D) of unit length or zero, the direction that is closed, or None.
    """

    center: Tensor
    nbeta: Tensor
    gamma: Tensor
    mask: Tensor | None
    normal: Tensor | None

    def gradient(self, params: Tensor, loss_gradient: Tensor) -> Tensor:
        """Gradient of U = nbeta L + gamma/2 |w - w*|^2:  nbeta grad L + gamma (w - w*), shape (R, D)."""
        return (self.gamma * (params - self.center)).addcmul(self.nbeta, loss_gradient)

    def project(self, move: Tensor) -> Tensor:
        """The part of a move (R, D) that stays in the open directions."""
        if self.mask is not None:
            move = move * self.mask
        if self.normal is not None:
            move = move.addcmul((move * self.normal).sum(1, keepdim=True), self.normal, value=-1)
        return move
