"""Words that every room shares."""

from enum import StrEnum
from typing import Any

from torch import Tensor

Params = dict[str, Tensor]  # parameters or buffers by the name that the module gives them
Tree = Any  # a tensor, or tuples, lists and dicts of tensors


class Verdict(StrEnum):
    """Health of an estimate. Every verdict but `HEALTHY` withholds the value."""

    HEALTHY = "healthy"
    DIVERGED = "diverged"
    BELOW_BASELINE = "below-baseline"
    NOT_STATIONARY = "not-stationary"
    CHAINS_DISAGREE = "chains-disagree"
    NOT_LOCALISED = "not-localised"
    NO_MINIMUM = "no-minimum"


__all__ = ["Params", "Tree", "Verdict"]
