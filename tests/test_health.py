"""Each way for a trace to be sick has its verdict; a healthy one has none of them."""

import json
import math

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.estimators import diagnose, precision
from thalweg.estimators.diagnostics import _stderr

NONE = np.zeros((4, 0))


def noise(seed=0, chains=4, draws=1000):
    return np.random.default_rng(seed).normal(1.0, 0.3, (chains, draws))


def test_independent_draws_are_healthy_with_the_right_error():
    healths = [diagnose(noise(seed), NONE) for seed in range(100)]
    assert sum(h.verdict != "healthy" for h in healths) <= 2
    z = np.array([(h.mean - 1.0) / h.stderr for h in healths])
    assert 0.8 < z.std() < 1.25
    assert np.median([h.ess for h in healths]) > 3000


def test_correlated_draws_have_an_honest_error():
    rho, z = 0.95, []
    for seed in range(60):
        steps, chain = np.random.default_rng(seed).normal(size=(4, 4000)), np.zeros((4, 4000))
        for t in range(1, 4000):
            chain[:, t] = rho * chain[:, t - 1] + steps[:, t]
        health = diagnose(10 * (1 - rho**2) ** -0.5 + chain[:, 500:], NONE)
        z.append((health.mean - 10 * (1 - rho**2) ** -0.5) / health.stderr)
    assert 0.75 < np.std(z) < 1.3


def test_a_constant_trace_is_healthy():
    health = diagnose(np.ones((4, 500)), np.ones((4, 100)))
    assert health.verdict == "healthy"
    assert (health.mean, health.stderr, health.rhat) == (1.0, 0.0, 1.0)


def test_sick_traces_have_their_verdicts():
    lost = noise()
    lost[2, 700:] = np.nan
    drifting = noise() + np.linspace(0, 1, 1000)
    apart = noise() + np.array([[0.0], [0.0], [0.0], [0.6]])
    below = noise() - 1.2
    few = noise(draws=20)
    burnt = np.zeros((4, 10))
    burnt[0, 3] = np.inf
    cases = {
        "diverged": (lost, NONE),
        "not-stationary": (drifting, NONE),
        "chains-disagree": (apart, NONE),
        "below-baseline": (below, NONE),
    }
    for verdict, (excess, burn_in) in cases.items():
        assert diagnose(excess, burn_in).verdict == verdict
    assert diagnose(noise(), burnt).verdict == "diverged"
    assert diagnose(few, NONE).verdict == "not-stationary"
    assert "effective sample size" in diagnose(few, NONE).reasons[-1]


def test_batch_noise_hides_no_disagreement():
    """Two basins, behind the noise of batches ten times as wide: pairing shows what raw losses hide."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 3.0, (4, 2000))  # the batch, common to w and w*
    basins = np.array([[0.0], [0.0], [0.5], [0.5]]) + rng.normal(1.0, 0.3, (4, 2000))
    assert diagnose(basins, NONE).verdict == "chains-disagree"
    assert diagnose(basins + shared + 10, NONE).rhat < 1.05  # control: unpaired, nobody would know


def quadratic(step_size, **changes):
    scape = tw.potential(lambda w: 0.5 * (w["w"] ** 2).sum(), {"w": torch.zeros(3, dtype=torch.float64)}, n=1000)
    return tw.estimate_llc(scape, **{"step_size": step_size, "chains": 4, "burn_in": 200, "draws": 1000, **changes})


def test_a_step_too_large_diverges_and_has_no_value():
    estimate = quadratic(0.05)
    assert estimate.verdict == "diverged"
    assert math.isnan(estimate.raw)
    with pytest.raises(tw.UnhealthyError, match="step_size"):
        _ = estimate.value
    document = json.loads(json.dumps(estimate.to_dict(), allow_nan=False))
    assert document["value"] is None
    assert document["raw"] is None


def test_drift_of_one_per_cent_counts_where_it_is_significant():
    trend = np.linspace(-1, 1, 4000)
    white = np.random.default_rng(0).normal(1.0, 0.1, (4, 4000))
    assert diagnose(white + 0.02 * trend, NONE).verdict == "not-stationary"  # halves differ by 2 %
    assert diagnose(white + 0.005 * trend, NONE).verdict == "healthy"


def test_a_chain_that_creeps_is_not_stationary():
    assert quadratic(1e-7).verdict == "not-stationary"


def test_a_healthy_estimate_says_what_it_was_made_with():
    estimate = quadratic(1e-3)
    assert estimate.value == estimate.raw
    assert estimate.settings["nbeta"] == pytest.approx(1000 / math.log(1000))
    assert estimate.to_dict()["verdict"] == "healthy"
    assert estimate.reasons == ()


def test_batch_noise_does_not_hide_a_slow_chain():
    """AR(1) of correlation 0.995 under white noise ten times as wide; errors from single draws are too small."""
    rng, rho, n = np.random.default_rng(0), 0.995, 4000
    scores, naive = [], []
    for _ in range(60):
        slow = np.empty((4, n))
        slow[:, 0] = rng.normal(size=4)
        kicks = rng.normal(size=(4, n)) * (1 - rho**2) ** 0.5
        for t in range(1, n):
            slow[:, t] = rho * slow[:, t - 1] + kicks[:, t]
        seen = slow + 10 * rng.normal(size=(4, n))
        scores.append(seen.mean() / precision(seen)[1])
        naive.append(seen.mean() / _stderr(seen))
    assert 0.7 < np.std(scores) < 1.25
    assert np.std(naive) > 1.3  # negative control
