"""Every sampler against the exact law of its own discretisation. A new sampler joins TABLE."""

from functools import partial

import pytest
import torch

from thalweg.landscape import Posterior
from thalweg.samplers import sgld

A, EPS, D, R, N, BURN = 3.0, 0.2, 4, 16, 4000, 200


def quadratic(params, batch):
    return A * params, 0.5 * A * params.square().sum(1)


def z_of_mean_loss(init, step, seed):
    """U = A|w|^2/2 makes each weight an AR(1) chain: mean, variance and correlation are known."""
    streams = [torch.Generator().manual_seed(1000 * seed + r) for r in range(R)]
    noise = torch.stack([torch.randn(BURN + N, D, generator=g, dtype=torch.float64) for g in streams], 1)
    one = torch.ones(R, 1, dtype=torch.float64)
    posterior = Posterior(torch.zeros(R, D).double(), one, 0 * one, None, None)
    state, seen = init(torch.zeros(R, D).double()), []
    for t in range(BURN + N):
        state, info = step(
            state, torch.zeros(R, 0), noise[t], gradient=quadratic, posterior=posterior, step_size=EPS * one
        )
        seen.append(info.loss)
    assert state.step == BURN + N
    rho, var = 1 - EPS * A / 2, 1 / (A * (1 - EPS * A / 4))  # lag-1 correlation, variance of w
    tau = (1 + rho**2) / (1 - rho**2)  # w^2 decorrelates as rho^(2k)
    exact, se = A * D * var / 2, A * var / 2 * (2 * D * tau / (R * N)) ** 0.5
    return (torch.stack(seen[BURN:]).mean().item() - exact) / se


TABLE = {"sgld": (sgld.init, sgld.step)}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("seed", [0, 1])
def test_sampler_has_the_law_of_its_own_discretisation(name, seed):
    assert abs(z_of_mean_loss(*TABLE[name], seed)) < 4


def test_the_law_test_can_fail():  # negative control: the drift-eps convention of other libraries
    def other(state, batch, noise, *, step_size, **rest):
        return sgld.step(state, batch, noise, step_size=2 * step_size, **rest)

    assert abs(z_of_mean_loss(sgld.init, other, seed=0)) > 10


def test_a_step_modifies_nothing_and_a_fresh_start_is_a_fresh_start():
    start = torch.randn(R, D, generator=torch.Generator().manual_seed(0)).double()
    kept, one = start.clone(), torch.ones(R, 1).double()
    posterior = Posterior(kept, one, one, None, None)
    go = partial(sgld.step, gradient=quadratic, posterior=posterior, step_size=EPS * one)
    first = sgld.init(start)
    second, _ = go(first, torch.zeros(R, 0), torch.ones(R, D).double())
    assert torch.equal(start, kept)
    assert torch.equal(first.params, kept)
    assert not torch.equal(second.params, kept)


def test_closed_directions_stay_closed():
    g = torch.Generator().manual_seed(1)
    center = torch.randn(R, D, generator=g).double()
    normal = torch.nn.functional.normalize(torch.randn(R, D, generator=g).double(), dim=1)
    mask = torch.tensor([1.0, 1.0, 0.0, 1.0]).double()
    one = torch.ones(R, 1).double()
    masked_normal = torch.nn.functional.normalize(normal * mask, dim=1)
    posterior = Posterior(center, one, one, mask, masked_normal)
    state = sgld.init(center)
    for _ in range(100):
        noise = torch.randn(R, D, generator=g).double()
        state, _ = sgld.step(
            state, torch.zeros(R, 0), noise, gradient=quadratic, posterior=posterior, step_size=EPS * one
        )
    moved = state.params - center
    assert (moved[:, 2] == 0).all()
    assert (moved * masked_normal).sum(1).abs().max() < 1e-12
    assert moved.norm(dim=1).min() > 0.1
