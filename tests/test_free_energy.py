"""Free energies, their crossings, integration and forecasts against exact truths."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

import thalweg as tw
from thalweg.phases import Phase, critical_n, forecasts, free_energy, integrate, plateaus, posterior, preferred
from thalweg.samplers import temper

FIVE, SIX = (
    Phase("5", 0.0687435800, 7.0, constant=3.624169),
    Phase("6", 0.0481923755, 8.5, constant=6.377642),
)


def test_the_paper_s_critical_n():
    assert critical_n(FIVE, SIX) == pytest.approx(601, abs=0.5)
    assert critical_n(SIX, FIVE) == critical_n(FIVE, SIX)
    assert critical_n(FIVE, SIX, constants=False) == pytest.approx(445, abs=0.5)
    assert critical_n(Phase("4+", 0.1041666667, 5.0, constant=2.003472), FIVE) == pytest.approx(381, abs=0.6)
    for n, name in ((300, "5"), (600, "5"), (602, "6"), (1e6, "6")):
        assert preferred((FIVE, SIX), n).name == name


def test_free_energies_are_equal_at_the_critical_n_and_the_posterior_even():
    n = critical_n(FIVE, SIX)
    assert free_energy(FIVE, n) == pytest.approx(free_energy(SIX, n))
    assert posterior((FIVE, SIX), n) == pytest.approx([0.5, 0.5])
    shares = posterior((FIVE, SIX), np.array([100.0, 2000.0]))
    assert shares.shape == (2, 2)
    assert shares[0, 0] > 0.99
    assert shares[1, 1] > 0.99


def test_equal_losses_cross_where_constants_outweigh():  # type B: log n = dc / |d lambda|
    high, low = Phase("a", 1.0, 3.0), Phase("b", 1.0, 2.0, constant=5.0)
    assert math.log(critical_n(high, low)) == pytest.approx(5.0)
    assert critical_n(high, low, constants=False) is None
    assert preferred((high, low), math.exp(4)).name == "a"


def test_multiplicity_takes_part():
    plain, deep = Phase("1", 0.0, 1.0, 1), Phase("3", 0.0, 1.0, 3)
    n = 1e4
    assert free_energy(plain, n) - free_energy(deep, n) == pytest.approx(2 * math.log(math.log(n)))
    assert critical_n(plain, deep, constants=False) == pytest.approx(math.e)  # where log log n is 0


def test_what_is_no_phase():
    with pytest.raises(tw.InputError, match="finite"):
        Phase("x", math.nan, 1.0)
    with pytest.raises(tw.InputError, match="m >= 1"):
        Phase("x", 0.0, 1.0, 0)
    with pytest.raises(tw.InputError, match="above 1"):
        free_energy(FIVE, 1.0)
    with pytest.raises(tw.InputError, match="no phases"):
        preferred([], 10.0)


RUNGS = np.geomspace(1, 1000, 25)


def quadratic(n, stiff):
    """Mean and variance of L = stiff w^2 / 2 under exp(-n L) N(w; 0, 1), and -log Z."""
    mean = stiff / 2 / (1 + n * stiff)
    return mean, 2 * mean**2, np.log1p(n * stiff) / 2


def test_integration_gives_the_exact_free_energy_of_a_parabola():
    mean, variance, free = quadratic(RUNGS, 3.0)
    found = integrate(RUNGS, mean, variance)
    assert found == pytest.approx(free - free[0], abs=2e-3)
    trapezoid = np.concatenate([[0], np.cumsum(np.diff(RUNGS) * (mean[1:] + mean[:-1]) / 2)])
    assert abs(trapezoid[-1] - free[-1] + free[0]) > 0.03  # the end correction is needed
    assert integrate(RUNGS, np.stack([mean, mean]), np.stack([variance, variance])).shape == (2, 25)


def test_integration_refuses_rungs_without_a_mean():
    mean, variance, _ = quadratic(RUNGS, 3.0)
    with pytest.raises(tw.InputError, match="no draws has no mean"):
        integrate(RUNGS, np.where(RUNGS > 500, np.nan, mean), variance)
    with pytest.raises(tw.InputError, match="ascend"):
        integrate(RUNGS[::-1], mean, variance)
    with pytest.raises(tw.InputError, match="shapes"):
        integrate(RUNGS[1:], mean, variance)


def wells(w):
    """Two parabolas, the deeper one narrower: L = min over both, (B, 1) -> (B,)."""
    left, right = 0.5 * (w + 2).square().sum(1) + 0.02, 8.0 * (w - 2).square().sum(1)
    return torch.minimum(left, right)


def exact_share(n):
    """Posterior mass right of the border, by quadrature."""
    w = np.linspace(-8, 8, 200_001)
    loss = wells(torch.tensor(w)[:, None]).numpy()
    density = np.exp(-n * loss) * norm.pdf(w)
    right = 8.0 * (w - 2) ** 2 < 0.5 * (w + 2) ** 2 + 0.02
    return density[right].sum() / density.sum(), (density * loss).sum() / density.sum()


LADDER = (0, 1, 3, 8, 20, 50, 120)


@pytest.mark.parametrize("start", [-2.0, 2.0])
def test_tempering_finds_the_shares_of_two_wells_from_either(start):
    starts = torch.full((8, 1), start, dtype=torch.float64)
    found = temper(wells, starts, LADDER, sweeps=4000, burn_in=400, every=4, seed=3)
    w = found.weights[..., 0]
    right = (8.0 * (w - 2).square() < 0.5 * (w + 2).square() + 0.02).double()
    for k, n in enumerate(LADDER):
        share, mean = exact_share(n)
        each = right[:, :, k].mean(0)
        assert abs(each.mean().item() - share) < 4 * each.std().item() / 8**0.5 + 1e-3
        losses = found.loss[:, :, k].mean(0)
        assert abs(losses.mean().item() - mean) < 4 * losses.std().item() / 8**0.5 + 1e-4 * mean
    assert (found.accepted > 0.5).all()
    assert (found.swapped > 0.1).all()


def test_without_trades_the_wells_are_not_shared():  # negative control: one hot and one cold rung, far apart
    starts = torch.full((8, 1), -2.0, dtype=torch.float64)
    found = temper(wells, starts, (100, 10_000), sweeps=500, burn_in=100, seed=3)
    assert (found.weights[:, :, 1] > 0).double().mean() < 0.05 < exact_share(10_000)[0]


def test_tempering_repeats_its_bits_and_names_bad_input():
    starts = torch.zeros(2, 1, dtype=torch.float64)
    one, two = (temper(wells, starts, (1, 2), sweeps=20, burn_in=5, seed=1) for _ in range(2))
    assert torch.equal(one.weights, two.weights)
    assert not torch.equal(one.weights, temper(wells, starts, (1, 2), sweeps=20, burn_in=5, seed=2).weights)
    for rungs in ((2, 1), (1,), (-1, 1)):
        with pytest.raises(tw.InputError, match="ascending"):
            temper(wells, starts, rungs, sweeps=1, burn_in=0)
    with pytest.raises(tw.InputError, match="not finite"):
        temper(lambda w: w[:, 0].log(), starts - 1, (1, 2), sweeps=1, burn_in=0)


def test_a_rise_of_test_loss_refutes_and_a_fall_proves_nothing():
    rise, fall, flat = forecasts(
        [0, 10, 20, 30], [2.0, 1.0, 0.5, 0.4], [2.0, 2.5, 1.0, 1.2], [10, 60, 90, 80], n=1000
    )
    assert (rise.refuted, fall.refuted, flat.refuted) == (True, False, False)  # lambda falls in the last
    assert rise.point == pytest.approx(-1.0 + 2 * 50 / 1000)
    assert rise.draws is None
    assert (rise.start, rise.end, rise.d_test) == (0, 10, 0.5)


def test_a_constant_or_an_error_can_excuse_a_rise():
    columns = ([0, 10], [2.0, 1.0], [2.0, 2.5], [10.0, 11.0])
    assert forecasts(*columns, n=1000)[0].refuted
    assert forecasts(*columns, n=1000, llc_stderr=[0.3, 0.3])[0].refuted
    assert not forecasts(*columns, n=1000, llc_stderr=[0.5, 0.5])[0].refuted
    assert not forecasts(*columns, n=1000, constant=[0.0, -10.0])[0].refuted


def test_forecast_of_posterior_draws_is_the_watanabe_gap():
    """y = w x + e, n = 200, posterior of w exact: test - train of draws is V/n on average; exact Gaussians."""
    rng = np.random.default_rng(0)
    gaps, variances = [], []
    n = 200
    for _ in range(400):
        x, noise = rng.normal(size=(n, 8)), rng.normal(size=n)
        spread = np.linalg.inv(x.T @ x)
        w = spread @ (x.T @ noise)
        draws = w + rng.multivariate_normal(np.zeros(8), spread, size=60)
        losses = 0.5 * (noise - draws @ x.T) ** 2  # (draws, n)
        gaps.append((0.5 * (1 + (draws**2).sum(1))).mean() - losses.mean())
        variances.append(losses.var(0, ddof=1).sum())
    expected = np.mean(variances) / n
    assert abs(np.mean(gaps) - expected) < 4 * np.std(gaps) / 20 + 0.1 * expected
    (one,) = forecasts([0, 1], [0.0, 0.0], [0.0, 0.1], [1.0, 1.0], n=n, functional_variance=[0.0, 8.0], beta=0.5)
    assert one.draws == pytest.approx(0.5 * 8.0 / n)
    (one,) = forecasts([0, 1], [0.0, 0.2], [0.0, 0.1], [1.0, 4.0], n=n, functional_variance=[0.0, 8.0], beta=0.5)
    assert one.draws == pytest.approx(0.2 + 3.0 / (0.5 * n) + 0.5 * 8.0 / n)  # draws lie lambda/(n beta) above w*


def test_bad_forecasts_are_named():
    good = {"steps": [0, 1], "train_loss": [1.0, 1.0], "test_loss": [1.0, 1.0], "llc": [1.0, 1.0], "n": 10}
    for change, message in (
        ({"llc": [1.0]}, "llc has shape"),
        ({"test_loss": [1.0, math.nan]}, "test_loss holds NaN"),
        ({"steps": [1, 1]}, "ascending"),
        ({"n": 1}, "n >= 2"),
    ):
        with pytest.raises(tw.InputError, match=message):
            forecasts(**{**good, **change})


def test_plateaus_of_a_staircase():
    steps = np.arange(60) * 10
    levels = np.repeat([4.0, 2.5, 1.0], 20) + np.random.default_rng(0).normal(0, 1e-3, 60)
    levels[19:22] = [3.6, 3.0, 2.7]
    found = plateaus(steps, levels)
    assert [round(p.level, 1) for p in found] == [4.0, 2.5, 1.0]
    for plateau, (first, last) in zip(found, ((0, 18), (22, 39), (40, 59)), strict=True):
        assert abs(plateau.first - first) <= 1
        assert abs(plateau.last - last) <= 1


def test_a_long_drift_is_no_plateau_although_its_pieces_are_flat():
    t = np.arange(200)
    for plateau in plateaus(t, 1 / (1 + t / 10)):
        assert 1 / (1 + plateau.first / 10) - 1 / (1 + plateau.last / 10) < 0.08


def test_a_slope_has_no_plateau_and_a_constant_is_one():
    assert plateaus(np.arange(30), np.linspace(4, 1, 30)) == []
    (whole,) = plateaus(np.arange(30), np.ones(30))
    assert (whole.first, whole.last, whole.level) == (0, 29, 1.0)
    with pytest.raises(tw.InputError, match="NaN"):
        plateaus(np.arange(6), [1, 1, 1, math.nan, 1, 1])
    with pytest.raises(tw.InputError, match="at least"):
        plateaus([0, 1], [1.0, 1.0])


def test_nbeta_stands_with_a_transition():
    steps = np.arange(20)
    llc = np.interp(steps, [0, 6, 12, 19], [1, 1, 40, 40])
    (rise,) = tw.transitions(steps, -llc, llc, np.full(20, 0.1), nbeta=145.0)
    assert rise.nbeta == 145.0
    assert "nβ = 145" in rise.sentence()
    assert tw.transitions(steps, -llc, llc, np.full(20, 0.1))[0].nbeta is None
