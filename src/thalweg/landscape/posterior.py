"""The localized posterior of R replicas, and the set of directions in which they may move.

    p(w) ~ exp(-nbeta L_n(w) - (gamma/2) |t (w - w*)|^2),    t = 1 unless rescaled

What L and w* stand for where w* is no minimum is the kind of point:

    at           L_n and w* as they are
    orthogonal   the same, without the direction of the gradient g of the full data at w*
    tilted       L_n(w) - g . (w - w*) in the place of L_n(w)
    relaxed      tilted at w_r, the minimum of nbeta L_n(w) + (gamma/2) |t (w - w*)|^2 that a descent from w* ends in

Since the gradient of that sum vanishes at w_r, `relaxed` is the localized posterior of w* itself, read from w_r:
nbeta L_n(w) + (gamma/2) |t (w - w*)|^2 = nbeta (L_n(w) - g . (w - w_r)) + (gamma/2) |t (w - w_r)|^2 + a number, g at
w_r. The posterior of `tilted` at another w* is another one, it depends on coordinates, and no theorem is behind it.

Source: Lau et al. 2023 (arXiv 2308.12108), eq. 14, for `at`; the orthogonal restriction is the correction for
checkpoints that are not minima of Panickssery & Vaintrob 2023. `tilted` and `relaxed` are ours.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from thalweg.types import Params

Kind = Literal["at", "orthogonal", "tilted", "relaxed"]  # of point
KINDS: tuple[Kind, ...] = get_args(Kind)  # of points, by name


@dataclass(frozen=True, eq=False)
class Restriction:
    """Which directions move, and how strongly each is tied to w*.

    Attributes:
        masks: {name: bool tensor of the parameter's shape}; False stays where it is. Names that
            are missing move whole.
        kind: of point that w* is taken for, see above.
        localization: {name: number or tensor of the parameter's shape} t > 0; the localization of a weight is
            gamma t^2, so that lengths are measured in units of 1/t. Missing names have 1.
        held: what the masks hold because the loss depends on it and gives it no gradient, by name.
    """

    masks: Params | None = None
    kind: Kind = "at"
    localization: Params | None = None
    held: tuple[str, ...] = ()

    @property
    def orthogonal_to_gradient(self) -> bool:
        """Whether the direction of the full-data gradient at w* is closed."""
        return self.kind == "orthogonal"

    @property
    def tilted(self) -> bool:
        """Whether the linear part of the loss at the centre is taken off."""
        return self.kind in ("tilted", "relaxed")


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
