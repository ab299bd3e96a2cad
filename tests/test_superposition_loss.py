"""The exact loss of the toy model of superposition: its integral, the levels of its phases, its gradient."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.spatial import ConvexHull
from torch.func import grad, jacrev, vmap

from thalweg.errors import InputError
from thalweg.theory import superposition_gon
from thalweg.theory.superposition_loss import GONS, configuration, gon, loss

LEVELS = {  # (features, k, positive): L
    (6, 6, 0): 0.0481924,
    (6, 5, 1): 0.0617991,
    (6, 5, 0): 0.0687436,
    (6, 4, 2): 0.0972222,
    (6, 4, 1): 0.1041667,
    (6, 4, 0): 0.1111111,
    (7, 7, 0): 1.7486950830 / 21,
    (8, 8, 0): 2.7731024336 / 24,
}


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def integral(W, b, draws=200_000, relu=torch.relu, seed=1):
    """E |x - f(x)|^2 by Monte Carlo, and its standard error."""
    c, g = len(b), torch.Generator().manual_seed(seed)
    x = torch.zeros(draws, c, dtype=torch.float64)
    x[torch.arange(draws), torch.randint(c, (draws,), generator=g)] = torch.rand(draws, generator=g).double()
    seen = (x - relu(x @ W.T @ W + b)).square().sum(-1)
    return seen.mean().item(), seen.std().item() / draws**0.5


def z(W, b, **kwargs):
    mean, error = integral(W, b, **kwargs)
    return (loss(W, b).item() - mean) / error


def antiderivative(W, b):
    """The loss once more, another way: the integral of relu(g u + b) over each u, piece by piece, in plain numbers.

    With G(u) = (g u + b)^3/(3 g) the square's antiderivative is elementary; own terms by splitting at the kink.
    """
    c, total = len(b), 0.0
    for i in range(c):
        for j in range(c):
            g, bias = float(W[:, i] @ W[:, j]), float(b[i])
            kink = [-bias / g] if g != 0 and 0 < -bias / g < 1 else []
            ends = [0.0, *kink, 1.0]
            for lo, hi in pairwise(ends):
                middle = (lo + hi) / 2
                slope, level = (g, bias) if g * middle + bias > 0 else (0.0, 0.0)
                slope -= i == j
                # two-point Gauss quadrature is exact for a parabola
                half = (hi - lo) / 2
                for node in (-1 / 3**0.5, 1 / 3**0.5):
                    total += half * (slope * (middle + half * node) + level) ** 2
    return total / c


def random_points():
    """100 points, c = 2 to 7."""
    for seed in range(100):
        c = 2 + seed % 6
        yield 0.8 * randn(2, c, seed=1000 + seed), 0.5 * randn(c, seed=2000 + seed)


def test_loss_is_a_second_derivation_at_a_hundred_points():
    for W, b in random_points():
        assert loss(W, b).item() == pytest.approx(antiderivative(W, b), rel=1e-12, abs=1e-12)


def test_loss_is_its_integral_at_a_hundred_points():
    found = [z(W, b, draws=1_000_000, seed=seed) for seed, (W, b) in enumerate(random_points())]
    assert max(map(abs, found)) < 4
    assert (
        0.5 < sum(q * q for q in found) / 100 < 1.5
    )  # and they are errors: chi-square of 100, within 3.5 of its own


POINTS = [(0.7 * randn(2, c, seed=c), 0.4 * randn(c, seed=10 + c)) for c in (2, 3, 5, 6)]


@pytest.mark.parametrize("point", [*POINTS, gon(6, 5), gon(6, 5, 1), gon(6, 4, 1)])
def test_loss_is_its_integral(point):
    assert abs(z(*point)) < 4


def test_the_test_can_fail():  # another activation
    assert abs(z(*POINTS[-1], relu=lambda u: torch.nn.functional.leaky_relu(u, 0.3))) > 10


def test_loss_is_its_integral_to_rounding():  # the midpoint choice model errs by 1/N^2 at the kinks
    W, b = POINTS[-1]
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    total = 0.0
    for j in range(len(b)):
        x = torch.zeros(len(u), len(b), dtype=torch.float64)
        x[:, j] = u
        total += (x - torch.relu(x @ W.T @ W + b)).square().sum(-1).mean().item()
    assert loss(W, b).item() == pytest.approx(total / len(b), rel=1e-9)


@pytest.mark.parametrize("which", LEVELS)
def test_levels(which):
    assert loss(*gon(*which)).item() == pytest.approx(LEVELS[which], abs=6e-8)


@pytest.mark.parametrize("which", LEVELS)
def test_the_gradient_vanishes_at_a_gon(which):
    for part in grad(loss, (0, 1))(*gon(*which)):
        assert part.abs().max() < 1e-14


@pytest.mark.parametrize("which", [which for which in LEVELS if which[1] > 4])
def test_half_the_rank_of_the_hessian_is_the_coefficient(which):
    W, b = gon(*which)
    slope = grad(lambda w: loss(w[: W.numel()].reshape(W.shape), w[W.numel() :]))
    found = jacrev(slope)(torch.cat([W.flatten(), b]))
    curvatures = torch.linalg.eigvalsh(found)
    assert curvatures.min() > -1e-12
    assert (curvatures > 1e-6).sum().item() / 2 == superposition_gon(*which).llc


def test_vmap_and_batches_are_the_single_points():
    W, b = randn(9, 2, 6), 0.5 * randn(9, 6, seed=1)
    single = torch.stack([loss(*pair) for pair in zip(W, b, strict=True)])
    torch.testing.assert_close(vmap(loss)(W, b), single)
    torch.testing.assert_close(loss(W, b), single)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_where_quotients_are_not(dtype):
    W = torch.stack([scale * randn(2, 6) for scale in (0.0, 1e-300, 1e-30, 1e-8, 1.0, 1e8)]).to(dtype)
    for b in (torch.zeros(6), torch.full((6,), 1e-30), -torch.ones(6), 1e-9 * randn(6)):
        for part in vmap(grad(loss, (0, 1)), in_dims=(0, None))(W, b.to(dtype)):
            assert part.isfinite().all()


TABLE = {  # to ten digits, by minimisation: slt.md, after the paper's equations
    4: (1.0, 0.0, 0.0),
    5: (1.1704596391, -0.2822972831, 0.2373844061),
    6: (1.3205263308, -0.6181351319, 0.8674627686),
    7: (1.4483937504, -0.9669063393, 1.7486950830),
    8: (1.5504496901, -1.2911926447, 2.7731024336),
}


@pytest.mark.parametrize("k", TABLE)
def test_gons_solve_the_equations_of_the_paper(k):
    """x^6 G + x^2 y^2 H + 2 x^4 y M + y^2 - x^4 = 0 and 2 x^8 F + 3 x^6 y G - x^2 y^3 H - 2 x^6 - 2 y^3 = 0."""
    W, b = gon(k, k)
    x, y = W[:, 0].norm().item(), b[0].item()
    assert (x, y) == pytest.approx(TABLE[k][:2], abs=1e-8)
    assert 3 * k * loss(W, b).item() == pytest.approx(TABLE[k][2], abs=1e-8)
    if k > 4:
        s = next(s for s in range(k) if k / 4 - 1 <= s < k / 4)
        cosine = [math.cos(2 * math.pi * j / k) for j in range(1, s + 1)]
        F, G = 1 + 2 * sum(q * q for q in cosine), 1 + 2 * sum(cosine)
        H, M = 1 + 2 * sum(1 / q for q in cosine), 1 + 2 * s
        assert abs(x**6 * G + x**2 * y**2 * H + 2 * x**4 * y * M + y**2 - x**4) < 1e-8
        assert abs(2 * x**8 * F + 3 * x**6 * y * G - x**2 * y**3 * H - 2 * x**6 - 2 * y**3) < 1e-8


@pytest.mark.parametrize("k", [5, 6, 7, 8])
def test_minimisation_finds_the_gon(k):  # from a rough polygon, all weights free
    W, b = gon(k, k)
    free = torch.cat([(W + 0.02 * randn(2, k, seed=k)).flatten(), b + 0.02 * randn(k, seed=k + 50)]).requires_grad_()
    optimizer = torch.optim.LBFGS([free], max_iter=500, tolerance_grad=1e-13, tolerance_change=0,
                                  line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimizer.zero_grad()
        value = loss(free[: 2 * k].reshape(2, k), free[2 * k :])
        value.backward()
        return value

    optimizer.step(closure)
    found = free.detach()
    assert found[: 2 * k].reshape(2, k).norm(dim=0) == pytest.approx(torch.full((k,), TABLE[k][0]), abs=1e-5)
    assert 3 * k * closure().item() == pytest.approx(TABLE[k][2], abs=1e-8)


def test_configuration_names_every_phase_and_batches():
    for c, k, s in ((6, 6, 0), (6, 5, 1), (6, 5, 0), (6, 4, 2), (6, 4, 1), (6, 4, 0), (7, 7, 0), (8, 8, 0)):
        W, b = gon(c, k, s)
        W, b = W + 0.01 * randn(5, 2, c, seed=k), (b + 1e-3 * randn(5, c, seed=s)).clone()
        corners, positive = configuration(W, b)
        assert corners.tolist() == [k] * 5
        assert positive.tolist() == [s] * 5


def test_configuration_is_the_hull_of_the_columns():
    for seed in range(200):
        W, b = randn(2, 6, seed=seed), randn(6, seed=seed + 1)
        assert configuration(W, b)[0].item() == len(ConvexHull(W.T.numpy()).vertices)


def test_what_is_no_gon():
    for features, k, positive in ((6, 3, 0), (6, 9, 0), (6, 7, 0), (6, 5, 2), (6, 5, -1)):
        with pytest.raises(InputError, match="give 4 <= k"):
            gon(features, k, positive)
    assert set(GONS) == set(range(4, 9))
