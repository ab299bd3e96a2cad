"""Kinds of point, each against its own exact value at finite n, with controls that must fail."""

import math

import pytest
import torch

import thalweg as tw
from thalweg.theory import finite

N, GAMMA = 1000, 5.0
NBETA = N / math.log(N)
SLOPE, CURVATURES = (0.3, 0.0, -0.4), (1.0, 2.0, 0.1)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def slanted(where=(0.0, 0.0, 0.0)):
    """c.w + sum_i h_i w_i^2 / 2, at a point that is no minimum."""
    c, h = doubles(*SLOPE), doubles(*CURVATURES)
    return tw.potential(lambda w: (c * w["w"]).sum() + 0.5 * (h * w["w"] ** 2).sum(), {"w": doubles(*where)}, n=N)


def near(estimate, truth, errors=4.0):
    return abs(estimate.raw - truth) < errors * estimate.stderr


SAMPLED = {"sampler": "hmc", "gamma": GAMMA, "chains": 64, "burn_in": 100, "draws": 400, "step_size": 0.01}


def test_tilted_is_the_quadratics_own_value_at_any_point():
    truth = finite.regular(CURVATURES, NBETA, GAMMA)
    for where in ((0.0, 0.0, 0.0), (0.5, -1.0, 2.0)):
        found = tw.estimate_llc(slanted(where).restrict(kind="tilted"), **SAMPLED)
        assert found.verdict == "healthy"
        assert near(found, truth)
        assert found.stderr < 0.02 * truth
        assert not near(found, finite.regular(CURVATURES[:2], NBETA, GAMMA))  # control: a direction less is seen
    assert tw.estimate_llc(slanted(), **SAMPLED).verdict == "below-baseline"  # control: as it is, it has no value
