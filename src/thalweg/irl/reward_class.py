"""A class of values: rewards that are linear in features, R = features . theta."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError

LARGEST = 1e100  # of features: likelihoods square their sums


@dataclass(frozen=True, eq=False)
class Linear:
    """Rewards that are linear in features.                                     S states, A actions, D weights

    Attributes:
        features: (S, D) of the state, or (S, A, D) of state and action; identity features give every reward.
        bound: largest absolute weight; None where weights are directions, whose scale does not matter.

    Raises:
        InputError: another shape, numbers that are not finite or whose squares would not be, features that depend on
            each other.
    """

    features: Tensor
    bound: float | None = None

    def __post_init__(self) -> None:
        found = torch.as_tensor(self.features, dtype=torch.float64)
        if found.ndim not in (2, 3) or 0 in found.shape or not torch.isfinite(found).all():
            raise InputError(f"features of shape {tuple(found.shape)}: give finite numbers (S, D) or (S, A, D)")
        largest = float(found.abs().max())
        if largest > LARGEST or 0 < largest < 1 / LARGEST:
            what, how = ("overflow", "down") if largest > 1 else ("underflow", "up")
            raise InputError(f"features of at most {largest:.3g}: their squares {what}: scale the features {how}")
        if self.bound is not None and not 0 < self.bound < float("inf"):
            raise InputError(f"bound {self.bound}: give a number above 0, the largest absolute weight")
        flat = found.reshape(-1, found.shape[-1])
        if int(torch.linalg.matrix_rank(flat)) < found.shape[-1]:
            raise InputError("a feature is a sum of others: no behaviour tells their weights apart, leave it out")
        object.__setattr__(self, "features", found)

    @property
    def weights(self) -> int:
        """D."""
        return self.features.shape[-1]

    def reward(self, theta: Any, actions: int) -> Tensor:
        """(..., D) -> (..., S, A)."""
        return torch.einsum("dsa,...d->...sa", self.gains(actions), torch.as_tensor(theta, dtype=torch.float64))

    def gains(self, actions: int) -> Tensor:
        """(D, S, A): the features as rewards."""
        found = self.features if self.features.ndim == 3 else self.features[:, None].expand(-1, actions, -1)
        return found.permute(2, 0, 1)
