"""The exact loss of the toy model of superposition: its integral, the levels of its phases, its gradient."""

import pytest
import torch
from torch.func import grad, jacrev, vmap

from thalweg.errors import InputError
from thalweg.theory import superposition_gon
from thalweg.theory.superposition_loss import GONS, gon, loss

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


def integral(W, b, draws=200_000, relu=torch.relu):
    """E |x - f(x)|^2 by Monte Carlo, and its standard error."""
    c, g = len(b), torch.Generator().manual_seed(1)
    x = torch.zeros(draws, c, dtype=torch.float64)
    x[torch.arange(draws), torch.randint(c, (draws,), generator=g)] = torch.rand(draws, generator=g).double()
    seen = (x - relu(x @ W.T @ W + b)).square().sum(-1)
    return seen.mean().item(), seen.std().item() / draws**0.5


def z(W, b, **kwargs):
    mean, error = integral(W, b, **kwargs)
    return (loss(W, b).item() - mean) / error


POINTS = [(0.7 * randn(2, c, seed=c), 0.4 * randn(c, seed=10 + c)) for c in (2, 3, 5, 6)]


@pytest.mark.parametrize("point", [*POINTS, gon(6, 5), gon(6, 5, 1), gon(6, 4, 1)])
def test_loss_is_its_integral(point):
    assert abs(z(*point)) < 4


def test_the_test_can_fail():  # another activation
    assert abs(z(*POINTS[-1], relu=lambda u: torch.nn.functional.leaky_relu(u, 0.3))) > 10


def test_loss_is_its_integral_to_rounding():  # the midpoint rule errs by 1/N^2 at the kinks
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


def test_what_is_no_gon():
    for features, k, positive in ((6, 3, 0), (6, 9, 0), (6, 7, 0), (6, 5, 2), (6, 5, -1)):
        with pytest.raises(InputError, match="give 4 <= k"):
            gon(features, k, positive)
    assert set(GONS) == set(range(4, 9))
