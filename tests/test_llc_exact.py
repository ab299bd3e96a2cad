"""Estimates against exact finite-n values, in their own standard errors, each with a control that must fail."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import dblquad

import thalweg as tw


def quadratic_truth(curvatures, n, nbeta, gamma, eps):
    """nbeta E[K] of discretised SGLD on sum_i h_i w_i^2 / 2."""
    total = 0.0
    for h in curvatures:
        a = nbeta * h + gamma
        total += 0.5 * nbeta * h / (a * (1 - eps * a / 4))
    return total


@pytest.mark.parametrize(("curvatures", "eps", "gamma"), [([1.0] * 6, 2e-3, 1.0), ([4.0, 1.0, 0.3, 0.1], 1e-3, 20.0)])
def test_quadratic(curvatures, eps, gamma):
    h = torch.tensor(curvatures, dtype=torch.float64)
    scape = tw.potential(lambda w: 0.5 * (h * w["w"] ** 2).sum(), {"w": torch.zeros_like(h)}, n=2000)
    estimate = tw.estimate_llc(scape, step_size=eps, gamma=gamma, chains=32, burn_in=500, draws=3000)
    nbeta = 2000 / math.log(2000)
    truth = quadratic_truth(curvatures, 2000, nbeta, gamma, eps)
    assert estimate.verdict == "healthy"
    assert abs(estimate.value - truth) < 4 * estimate.stderr
    assert estimate.stderr < 0.02 * truth
    assert abs(estimate.value - 1.1 * truth) > 4 * estimate.stderr  # control: a tenth off is seen
    assert abs(estimate.value - len(curvatures) / 2) > 4 * estimate.stderr  # control: and so is the asymptotic value


def monomial_truth(n, gamma):
    """nbeta E[w1^2 w2^4] under exp(-nbeta K - gamma |w|^2 / 2), by quadrature."""
    nbeta = n / math.log(n)

    def density(x, y):
        return math.exp(-nbeta * x**2 * y**4 - gamma / 2 * (x**2 + y**2))

    box = 8 / math.sqrt(gamma)
    z = dblquad(density, 0, box, 0, box, epsabs=1e-10)[0]
    return nbeta * dblquad(lambda x, y: x**2 * y**4 * density(x, y), 0, box, 0, box, epsabs=1e-10)[0] / z


def test_singular_monomial():
    """w1^2 w2^4, lambda = 1/4: at finite n and gamma the truth is a quadrature."""
    n, gamma = 200, 4.0
    truth = monomial_truth(n, gamma)
    scape = tw.potential(lambda w: w["w"][0] ** 2 * w["w"][1] ** 4, {"w": torch.zeros(2, dtype=torch.float64)}, n=n)
    estimate = tw.estimate_llc(scape, step_size=4e-3, gamma=gamma, chains=128, burn_in=1000, draws=10_000)
    assert estimate.verdict == "healthy"
    assert abs(estimate.value - truth) < 4 * estimate.stderr
    assert estimate.stderr < 0.02 * truth
    assert abs(estimate.value - 0.25) > 4 * estimate.stderr  # control: the asymptotic lambda is not the truth here


def test_linear_regression_with_data_and_minibatches():
    """A real module: the loss is exactly quadratic, and minibatch noise adds what theory says it adds."""
    n, d, eps, gamma, batch = 500, 3, 2e-3, 1.0, 25
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, d, generator=g, dtype=torch.float64)
    targets = 0.5 * torch.randn(n, 1, generator=g, dtype=torch.float64)
    best = torch.linalg.lstsq(inputs, targets).solution
    module = torch.nn.Linear(d, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(best.T)
    scape = tw.landscape(module, (inputs, targets), lambda out, y: 0.5 * (out - y).square().sum(1))
    hessian = inputs.T @ inputs / n
    curvatures, axes = torch.linalg.eigh(hessian)
    nbeta = n / math.log(n)

    full = tw.estimate_llc(scape, step_size=eps, gamma=gamma, chains=32, burn_in=1000, draws=3000, batch_size=n)
    truth = quadratic_truth(curvatures.tolist(), n, nbeta, gamma, eps)
    assert abs(full.value - truth) < 4 * full.stderr

    residual = targets - inputs @ best
    noise = (inputs @ axes * residual).var(0, unbiased=False) / batch  # variance of the gradient along each axis
    inflated = sum(
        quadratic_truth([h], n, nbeta, gamma, eps) * (1 + eps * nbeta**2 * s / 4)
        for h, s in zip(curvatures.tolist(), noise.tolist(), strict=True)
    )
    mini = tw.estimate_llc(scape, step_size=eps, gamma=gamma, chains=32, burn_in=1000, draws=6000, batch_size=batch)
    assert abs(mini.value - inflated) < 4 * mini.stderr + 0.005 * inflated  # the law is first order in the noise
    assert mini.stderr < 0.01 * truth
    assert abs(mini.value - truth) > 3 * mini.stderr  # control: without the inflation it is seen to be off


def test_restrictions_take_dimensions_away():
    """Each closed direction of a quadratic costs its own share."""
    h = torch.tensor([1.0, 1.0, 1.0, 1.0], dtype=torch.float64)

    def fn(w):
        return 0.5 * (h[:2] * w["a"] ** 2).sum() + 0.5 * (h[2:] * w["b"] ** 2).sum()

    zero = torch.zeros(2, dtype=torch.float64)
    scape = tw.potential(fn, {"a": zero, "b": zero}, n=1000)
    nbeta, settings = 1000 / math.log(1000), {"step_size": 1e-3, "chains": 16, "burn_in": 200, "draws": 3000}
    one = quadratic_truth([1.0], 1000, nbeta, 1.0, 1e-3)
    cases = {
        4: scape,
        2: scape.restrict(names="a"),
        3: scape.restrict(masks={"b": torch.tensor([True, False])}),
        1: scape.restrict(names="a", masks={"a": torch.tensor([False, True])}),
    }
    for dimensions, restricted in cases.items():
        estimate = tw.estimate_llc(restricted, **settings)
        assert abs(estimate.value - dimensions * one) < 4 * estimate.stderr


def test_orthogonal_restriction_corrects_a_point_that_is_no_minimum():
    """K = c.w + |w|^2/2 at 0: free chains fall below the baseline, orthogonal ones see d - 1 directions."""
    c = torch.tensor([0.3, 0.0, 0.4], dtype=torch.float64)

    def fn(w):
        return (c * w["w"]).sum() + 0.5 * (w["w"] ** 2).sum()

    scape = tw.potential(fn, {"w": torch.zeros(3, dtype=torch.float64)}, n=1000)
    settings = {"step_size": 1e-3, "chains": 16, "burn_in": 500, "draws": 3000}
    free = tw.estimate_llc(scape, **settings)
    assert free.verdict == "below-baseline"
    assert free.raw < 0
    with pytest.raises(tw.UnhealthyError, match="below"):
        _ = free.value
    kept = tw.estimate_llc(scape.restrict(orthogonal_to_gradient=True), **settings)
    truth = quadratic_truth([1.0, 1.0], 1000, 1000 / math.log(1000), 1.0, 1e-3)
    assert abs(kept.value - truth) < 4 * kept.stderr


def test_units_of_a_module_loss():
    """The baseline is the full-data loss at w*, whatever the batches."""
    module = torch.nn.Linear(4, 3)
    inputs, targets = torch.randn(50, 4), torch.randint(3, (50,))
    scape = tw.landscape(module, (inputs, targets), F.cross_entropy)
    estimate = tw.estimate_llc(scape, chains=2, burn_in=10, draws=50, batch_size=8)
    assert estimate.trace is not None
    assert np.isclose(estimate.trace.baseline, F.cross_entropy(module(inputs), targets).item(), rtol=1e-6)
    assert estimate.trace.loss.shape == (2, 50)
    assert estimate.trace.burn_in_loss.shape == (2, 10)


def line(n, batch=None, **changes):
    """One weight, realizable noise: lambda = 1/2, and batch noise far above the signal."""
    g = torch.Generator().manual_seed(2)
    inputs = torch.randn(n, 1, generator=g, dtype=torch.float64)
    targets = torch.randn(n, 1, generator=g, dtype=torch.float64)
    module = torch.nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.linalg.lstsq(inputs, targets).solution.T)
    scape = tw.landscape(module, (inputs, targets), half_square)
    return tw.estimate_llc(scape, batch_size=batch or n, **changes)


def half_square(outputs, targets):
    return 0.5 * (outputs - targets).square().sum(1)


def test_small_batches_do_not_condemn_a_healthy_chain():
    """Blocks fall below zero by batch noise alone; only significantly low ones speak against w*."""
    n = 5000
    for batch, draws in ((64, 2000), (256, 800)):
        estimate = line(n, batch, draws=draws, burn_in=500, chains=8, step_size=0.02 * math.log(n) / n)
        assert estimate.verdict != "below-baseline"


def test_the_default_step_keeps_batch_noise_small():
    """At n = 20,000 the step of a full gradient would inflate by two fifths with batches of 256, and look healthy."""
    estimate = line(20_000, 256, chains=16, draws=8000, burn_in=2000)
    settings = estimate.settings
    assert settings["step_size"] < 0.2 / settings["nbeta"]
    inflation = 1 + settings["step_size"] * settings["nbeta"] ** 2 / (4 * 256)
    assert inflation < 1.06
    assert abs(estimate.raw - 0.5 * inflation) < 4 * estimate.stderr
    assert estimate.stderr < 0.05


def test_at_an_exact_minimum_rounding_closes_no_direction():
    """A gradient of 1e-17 has no direction."""
    from thalweg.landscape import measure

    g = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(300, 3, generator=g).double(), torch.randn(300, 1, generator=g).double()
    module = torch.nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.linalg.lstsq(inputs, targets).solution.T)
    center = measure(tw.landscape(module, (inputs, targets), half_square))
    assert center.gradient.abs().max() == 0
    assert center.normal.abs().max() == 0
    with torch.no_grad():
        module.weight.add_(1e-3)
    moved = measure(tw.landscape(module, (inputs, targets), half_square))
    assert moved.normal.norm().item() == pytest.approx(1)


def test_burn_in_never_enters_and_pairing_saves_noise():
    scape = tw.potential(lambda w: 0.5 * (w["w"] ** 2).sum(), {"w": torch.zeros(4, dtype=torch.float64)}, n=1000)
    with_start = tw.estimate_llc(scape, step_size=1e-4, chains=6, burn_in=0, draws=800)
    without = tw.estimate_llc(scape, step_size=1e-4, chains=6, burn_in=800, draws=2000)
    assert with_start.raw < 0.9 * without.raw  # the climb from w* is seen where it is not thrown away
    trace = line(2000, 64, chains=4, draws=500, burn_in=100).trace
    assert trace is not None
    assert trace.excess.std() < 0.3 * trace.loss.std()
