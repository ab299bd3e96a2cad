"""Words that every room shares."""

from enum import StrEnum
from typing import Any

from torch import Tensor

Params = dict[str, Tensor]  # parameters or buffers by the name that the module gives them
Tree = Any  # a tensor, or tuples, lists and dicts of tensors


class Verdict(StrEnum):
    """Health of an estimate. Every verdict but `HEALTHY` withholds the value."""

    HEALTHY = "healthy"  # nothing was found against the number
    DIVERGED = "diverged"  # a chain left the finite numbers
    BELOW_BASELINE = "below-baseline"  # draws lie below the loss at w*, which is no minimum
    NOT_STATIONARY = "not-stationary"  # chains were still on their way, or draws were too few to tell
    CHAINS_DISAGREE = "chains-disagree"  # each is steady, about another mean
    NOT_LOCALISED = "not-localised"  # chains reached points more singular than w*
    NO_MINIMUM = "no-minimum"  # regret of a policy that falls without end as its logits grow
    NOT_RELAXED = "not-relaxed"  # the descent from w* reached no minimum of the localized loss


__all__ = ["Params", "Tree", "Verdict"]
