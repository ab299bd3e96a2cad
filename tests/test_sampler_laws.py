"""Every sampler against the exact law of its own discretisation. A new sampler joins TABLE."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers import ALGORITHMS, Algorithm, Dial, Draw, hmc, mala, rmsprop_sgld, sghmc, sgld

A, EPS, D, R, N, BURN = 3.0, 0.2, 4, 64, 2000, 200
ONE = torch.ones(R, 1, dtype=torch.float64)
FREE = LocalizedPosterior(torch.zeros(R, D).double(), ONE, 0 * ONE, None, None)


def quadratic(params):
    return A * params, 0.5 * A * params.square().sum(1)


def quartic(params):
    return 4 * params**3, (params**4).sum(1)


def draws(seed, count, weights=D):
    g = torch.Generator().manual_seed(seed)
    for _ in range(count):
        noise = torch.randn(R, weights, generator=g, dtype=torch.float64)
        uniform = torch.rand(R, 2, generator=g, dtype=torch.float64)
        yield Draw(noise, uniform, int(torch.randint(1, 16, (), generator=g)))


def run(state, step, seed, gradient=quadratic, posterior=FREE, count=N, weights=D):
    """Loss of every chain at every step after burn-in, and the last state."""
    seen = []
    for t, draw in enumerate(draws(seed, BURN + count, weights)):
        state, info = step(state, draw, gradient=gradient, posterior=posterior, frozen=t >= BURN)
        seen.append(info.loss)
    return torch.stack(seen[BURN:]), state


def z(losses, exact):
    """Distance to the truth in standard errors, the error from the means of independent chains."""
    means = losses.mean(0)
    return ((means.mean() - exact) / (means.std() / R**0.5)).item()


def dialled(algorithm):
    """A sampler's step, told from outside what samplers are told."""

    def go(state, draw, *, gradient, posterior, frozen):
        return algorithm.step(state, draw, gradient, posterior, Dial(EPS * ONE, 2 * ONE, frozen))

    return go


def adjusted(step_sizes):
    """Expected loss of AR(1) chains with these steps: var = 1 / (A (1 - eps A/4)) for each weight."""
    return (0.5 / (1 - step_sizes * A / 4)).sum(-1).mean().item()


class Law(NamedTuple):
    """What a sampler's draws on the quadratic must show.

    Attributes:
        algorithm: the sampler.
        loss: the expected loss, of its last state.
        restricted: the same where one weight and one further direction are closed; None where there is no such law.
    """

    algorithm: Algorithm
    loss: Callable
    restricted: float | None = None


ZEROS = torch.zeros(R, D).double()
EXACT = D / 2
TABLE = {
    "sgld": Law(sgld.ALGORITHM, lambda state: adjusted(EPS * torch.ones(R, D)), (D - 2) / 2 / (1 - EPS * A / 4)),
    "rmsprop_sgld": Law(
        rmsprop_sgld.ALGORITHM,
        lambda state: adjusted(
            EPS / (rmsprop_sgld.FLOOR + (state.square / (1 - rmsprop_sgld.DECAY**state.seen)).sqrt())
        ),
    ),
    "sghmc": Law(sghmc.ALGORITHM, lambda state: EXACT, (D - 2) / 2),
    "mala": Law(mala.ALGORITHM, lambda state: EXACT, (D - 2) / 2),
    "hmc": Law(hmc.ALGORITHM, lambda state: EXACT, (D - 2) / 2),
}


def test_every_sampler_of_ours_has_a_law():
    assert {name: law.algorithm for name, law in TABLE.items()} == ALGORITHMS.ours


def check_law(law, seed):
    losses, last = run(law.algorithm.start(ZEROS, quadratic, FREE), dialled(law.algorithm), seed)
    assert abs(z(losses, law.loss(last))) < 4


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("seed", [0, 1])
def test_sampler_has_the_law_of_its_own_discretisation(name, seed):
    check_law(TABLE[name], seed)


def check_the_law_can_fail(law):  # noise of the wrong size, as with a drift of eps
    step = dialled(law.algorithm)

    def other(state, draw, **rest):
        return step(state, draw._replace(noise=draw.noise * 2**0.5), **rest)

    losses, last = run(law.algorithm.start(ZEROS, quadratic, FREE), other, 0)
    assert abs(z(losses, law.loss(last))) > 10


@pytest.mark.parametrize("name", TABLE)
def test_the_law_test_can_fail(name):  # negative control
    check_the_law_can_fail(TABLE[name])


def test_unfrozen_rmsprop_has_no_exact_law():  # negative control
    step = dialled(rmsprop_sgld.ALGORITHM)
    losses, _ = run(rmsprop_sgld.init(ZEROS), lambda *args, frozen, **rest: step(*args, frozen=False, **rest), 0)
    assert z(losses, EXACT) > 10


ORIGIN = torch.zeros(R, 1).double()
LINE = FREE._replace(center=ORIGIN)


def test_jittered_hmc_is_exact_on_a_quartic():
    """E[w^4] under exp(-w^4) is 1/4."""
    step = partial(hmc.step, step_size=0.5 * ONE)
    losses, _ = run(
        hmc.init(ORIGIN, quartic, LINE), lambda *a, frozen, **k: step(*a, **k), 3, quartic, LINE, 4000, weights=1
    )
    assert abs(z(losses, 0.25)) < 4


def test_hmc_whose_chains_go_on_adapting_their_own_step_is_biased_low_on_a_quartic():  # negative control
    log_step = -torch.ones(R, 1).double()

    def step(state, draw, frozen, **rest):
        nonlocal log_step
        state, info = hmc.step(state, draw, step_size=(2 * log_step).exp(), jitter=1.0, **rest)
        log_step = log_step + 0.3 * (info.accepted[:, None] - 0.8)
        return state, info

    losses, _ = run(hmc.init(ORIGIN, quartic, LINE), step, 3, quartic, LINE, 4000, weights=1)
    assert z(losses, 0.25) < -4
    assert losses.mean() < 0.9 * 0.25


def test_mala_and_one_leap_of_hmc_refuse_what_is_not_finite():
    far = torch.full((R, 1), 3.0).double()
    state = mala.init(far, quartic, LINE)
    draw = Draw(torch.full((R, 1), 1e200, dtype=torch.float64), torch.zeros(R, 2).double())
    moved, info = mala.step(state, draw, gradient=quartic, posterior=LINE, step_size=ONE)
    assert torch.equal(moved.params, far)
    assert (info.accepted == 0).all()


def check_a_fresh_start(law):
    start = torch.randn(R, D, generator=torch.Generator().manual_seed(0)).double()
    posterior = FREE._replace(center=start.clone(), gamma=ONE)
    first = law.algorithm.start(start, quadratic, posterior)
    kept = [t.clone() for t in first]
    draw = Draw(torch.ones(R, D).double(), torch.full((R, 2), 0.01).double(), 3)
    second, _ = dialled(law.algorithm)(first, draw, gradient=quadratic, posterior=posterior, frozen=False)
    assert isinstance(second, law.algorithm.state)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))
    assert torch.equal(start, posterior.center)
    assert not torch.equal(second.params, start)


@pytest.mark.parametrize("name", TABLE)
def test_a_step_modifies_nothing_and_a_fresh_start_is_a_fresh_start(name):
    check_a_fresh_start(TABLE[name])


def check_closed_directions(law):
    g = torch.Generator().manual_seed(1)
    mask = torch.tensor([1.0, 1.0, 0.0, 1.0]).double()
    normal = torch.nn.functional.normalize(torch.randn(1, D, generator=g).double() * mask, dim=1).expand(R, D)
    posterior = FREE._replace(mask=mask, normal=normal)
    state = law.algorithm.start(ZEROS, quadratic, FREE)
    losses, last = run(state, dialled(law.algorithm), 5, posterior=posterior)
    assert (last.params[:, 2] == 0).all()
    assert (last.params * normal).sum(1).abs().max() < 1e-10
    assert law.restricted is None or abs(z(losses, law.restricted)) < 4


@pytest.mark.parametrize("name", TABLE)
def test_closed_directions_stay_closed_and_the_open_ones_keep_their_law(name):
    check_closed_directions(TABLE[name])
