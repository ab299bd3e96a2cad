"""Kinds of point, each against its own exact value at finite n, with controls that must fail."""

import math

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


SAMPLED = {"gamma": GAMMA, "chains": 32, "burn_in": 50, "draws": 300}
SAMPLED |= {"sampler": "hmc", "step_size": 0.01, "leapfrog_steps": 8}


def test_tilted_is_the_quadratics_own_value_at_any_point():
    truth = finite.regular(CURVATURES, NBETA, GAMMA)
    for where in ((0.0, 0.0, 0.0), (0.5, -1.0, 2.0)):
        found = tw.estimate_llc(slanted(where).restrict(kind="tilted"), **SAMPLED)
        assert found.verdict == "healthy"
        assert near(found, truth)
        assert found.stderr < 0.02 * truth
        assert not near(found, finite.regular(CURVATURES[:2], NBETA, GAMMA))  # control: a direction less is seen
    assert tw.estimate_llc(slanted(), **SAMPLED).verdict == "below-baseline"  # control: as it is, it has no value


def test_relaxed_is_tilted_at_the_point_that_it_finds():
    """Of a quadratic both have its own value; w_r and what is gained are known in closed form."""
    c, h = doubles(*SLOPE), doubles(*CURVATURES)
    found = tw.estimate_llc(slanted().restrict(kind="relaxed"), **SAMPLED)
    assert found.verdict == "healthy"
    assert near(found, finite.regular(CURVATURES, NBETA, GAMMA))
    moved = -NBETA * c / (NBETA * h + GAMMA)
    assert math.isclose(found.settings["distance"], float(moved.norm()) * math.sqrt(GAMMA / 3), rel_tol=1e-4)
    gained = -NBETA * float((c * moved + 0.5 * h * moved**2).sum())
    assert math.isclose(found.settings["nats_gained"], gained, rel_tol=1e-4)
    there = tw.estimate_llc(slanted(moved.tolist()).restrict(kind="tilted"), **SAMPLED)
    assert math.isclose(there.raw, found.raw, rel_tol=1e-4)  # the same path, up to where the descent stopped
