"""Mean and spread of the losses of samples, kept while draws come one after the other.     R replicas, S samples

    mean' = mean + (x - mean)/k,    square' = square + (x - mean)(x - mean'),    k draws of a replica so far

so that a long chain takes no more room than a short one.
Source: Welford 1962 for one replica; Chan, Golub & LeVeque 1979, eq. 2.1, for all together.
"""

from typing import NamedTuple

import torch
from torch import Tensor

NAMES = ("moments.draws", "moments.mean", "moments.square")  # in a saved state


class Moments(NamedTuple):
    """What is known of the draws so far.

    Attributes:
        draws: () taken of each replica.
        mean: (R, S) nats.
        square: (R, S) sum of squared deviations from the mean, nats^2.
    """

    draws: Tensor
    mean: Tensor
    square: Tensor


def include(moments: Moments | None, losses: Tensor) -> Moments:
    """Take one more draw of each replica, (R, S) nats, float64; None before the first."""
    if moments is None:
        return Moments(torch.ones(()), losses, torch.zeros_like(losses))
    count = moments.draws + 1
    away = losses - moments.mean
    mean = moments.mean + away / count
    return Moments(count, mean, moments.square + away * (losses - mean))


def variance(moments: Moments) -> Tensor:
    """(S,) over all draws of all replicas; NaN of a single draw."""
    count, replicas = moments.draws, len(moments.mean)
    between = (moments.mean - moments.mean.mean(0)).square().sum(0)
    return (moments.square.sum(0) + count * between) / (replicas * count - 1)
