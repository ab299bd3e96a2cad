"""Every sampler against the exact law of its own discretisation. A new sampler joins TABLE."""

from functools import partial

import pytest
import torch

from thalweg.landscape import Posterior
from thalweg.samplers import hmc, mala, rmsprop_sgld, sghmc, sgld
from thalweg.samplers.target import Draw

A, EPS, D, R, N, BURN = 3.0, 0.2, 4, 64, 2000, 200
ONE = torch.ones(R, 1, dtype=torch.float64)
FREE = Posterior(torch.zeros(R, D).double(), ONE, 0 * ONE, None, None)


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


def of(step, **options):
    """A sampler's step that leaves out what it does not take."""

    def go(state, draw, frozen, **rest):
        return step(state, draw, step_size=EPS * ONE, **options, **rest)

    return go


def rmsprop(state, draw, frozen, **rest):
    return rmsprop_sgld.step(state, draw, step_size=EPS * ONE, frozen=frozen, **rest)


def adjusted(step_sizes):
    """Expected loss of AR(1) chains with these steps: var = 1 / (A (1 - eps A/4)) for each weight."""
    return (0.5 / (1 - step_sizes * A / 4)).sum(-1).mean().item()


ZEROS = torch.zeros(R, D).double()
EXACT = D / 2
TABLE = {
    "sgld": (sgld.init(ZEROS), of(sgld.step), lambda state: adjusted(EPS * torch.ones(R, D))),
    "rmsprop_sgld": (
        rmsprop_sgld.init(ZEROS),
        rmsprop,
        lambda state: adjusted(
            EPS / (rmsprop_sgld.FLOOR + (state.square / (1 - rmsprop_sgld.DECAY**state.seen)).sqrt())
        ),
    ),
    "sghmc": (sghmc.init(ZEROS, quadratic, FREE), of(sghmc.step, friction=2 * ONE), lambda state: EXACT),
    "mala": (mala.init(ZEROS, quadratic, FREE), of(mala.step), lambda state: EXACT),
    "hmc": (hmc.init(ZEROS, quadratic, FREE), of(hmc.step), lambda state: EXACT),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("seed", [0, 1])
def test_sampler_has_the_law_of_its_own_discretisation(name, seed):
    state, step, exact = TABLE[name]
    losses, last = run(state, step, seed)
    assert abs(z(losses, exact(last))) < 4


@pytest.mark.parametrize("name", TABLE)
def test_the_law_test_can_fail(name):  # negative control: noise of the wrong size, as with a drift of eps
    state, step, exact = TABLE[name]

    def other(state, draw, **rest):
        return step(state, draw._replace(noise=draw.noise * 2**0.5), **rest)

    losses, last = run(state, other, 0)
    assert abs(z(losses, exact(last))) > 10


def test_unfrozen_rmsprop_has_no_exact_law():  # negative control
    state, _, _ = TABLE["rmsprop_sgld"]
    losses, _ = run(state, lambda *args, frozen, **rest: rmsprop(*args, frozen=False, **rest), 0)
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


def test_a_step_modifies_nothing_and_a_fresh_start_is_a_fresh_start():
    start = torch.randn(R, D, generator=torch.Generator().manual_seed(0)).double()
    posterior = FREE._replace(center=start.clone(), gamma=ONE)
    for name, (_, step, _) in TABLE.items():
        module = {"sgld": sgld, "rmsprop_sgld": rmsprop_sgld, "sghmc": sghmc, "mala": mala, "hmc": hmc}[name]
        first = module.init(start) if "sgld" in name else module.init(start, quadratic, posterior)
        kept = [t.clone() for t in first]
        draw = Draw(torch.ones(R, D).double(), torch.full((R, 2), 0.01).double(), 3)
        second, _ = step(first, draw, gradient=quadratic, posterior=posterior, frozen=False)
        assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True)), name
        assert torch.equal(start, posterior.center), name
        assert not torch.equal(second.params, start), name


@pytest.mark.parametrize("name", TABLE)
def test_closed_directions_stay_closed_and_the_open_ones_keep_their_law(name):
    g = torch.Generator().manual_seed(1)
    mask = torch.tensor([1.0, 1.0, 0.0, 1.0]).double()
    normal = torch.nn.functional.normalize(torch.randn(1, D, generator=g).double() * mask, dim=1).expand(R, D)
    posterior = FREE._replace(mask=mask, normal=normal)
    state, step, _ = TABLE[name]
    losses, last = run(state, step, 5, posterior=posterior)
    assert (last.params[:, 2] == 0).all()
    assert (last.params * normal).sum(1).abs().max() < 1e-10
    if name in ("sghmc", "mala", "hmc"):
        assert abs(z(losses, (D - 2) / 2)) < 4
    if name == "sgld":
        assert abs(z(losses, (D - 2) / 2 / (1 - EPS * A / 4))) < 4
