"""Susceptibilities and influence, against the covariances of a Gaussian posterior (Isserlis)."""

import functools

import numpy as np
import pytest

from thalweg.errors import InputError
from thalweg.estimators.response import influence, susceptibility

SAMPLES, D, NBETA, GAMMA, RHO = 12, 4, 30.0, 1.0, 0.6
CHAINS, DRAWS = 4, 400


class Linear:
    """q_i(w) = (y_i - x_i w)^2/2, posterior exp(-nbeta L - gamma/2 |w - w*|^2); weights that are not free stay."""

    def __init__(self, free=range(D)):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((SAMPLES, D))
        y = x @ rng.standard_normal(D) + rng.standard_normal(SAMPLES)
        self.x, self.y, self.best = x, y, np.linalg.lstsq(x, y, rcond=None)[0]  # posterior mean, as w* is the minimum
        self.free = list(free)
        self.cov = np.zeros((D, D))
        precision = (NBETA / SAMPLES * x.T @ x + GAMMA * np.eye(D))[np.ix_(self.free, self.free)]
        self.cov[np.ix_(self.free, self.free)] = np.linalg.inv(precision)

    def losses(self, rng, chains=CHAINS, draws=DRAWS):
        """(C, N, S) on stationary AR(1) chains."""
        root = np.linalg.svd(self.cov)
        noise = rng.standard_normal((chains, draws, D))
        z = noise.copy()
        for t in range(1, draws):
            z[:, t] = RHO * z[:, t - 1] + (1 - RHO**2) ** 0.5 * noise[:, t]
        w = self.best + z @ (root.U * root.S**0.5).T
        return 0.5 * (self.y - w @ self.x.T) ** 2

    @property
    def minimum(self):
        return (0.5 * (self.y - self.x @ self.best) ** 2).mean()

    @property
    def means(self):
        return 0.5 * (self.y - self.x @ self.best) ** 2 + 0.5 * np.diag(self.x @ self.cov @ self.x.T)

    @property
    def covariance(self):
        """Cov(q_i, q_j) = r_i r_j s_ij + s_ij^2/2,  s = x Sigma x^T."""
        r, s = self.y - self.x @ self.best, self.x @ self.cov @ self.x.T
        return np.outer(r, r) * s + 0.5 * s**2


def exact_susceptibility(part, full):
    shift = part.covariance.mean(0).mean() - part.covariance.mean(0)  # Cov_C(phi, Lbar - l)
    phi = part.means.mean() - part.minimum
    moved = (part.means.mean() - part.means) - (full.means.mean() - full.means)
    return NBETA * (shift + phi * moved)


def scores(measure, exact, repetitions=100):
    rng = np.random.default_rng(1)
    found = [measure(rng) for _ in range(repetitions)]
    with np.errstate(invalid="ignore", divide="ignore"):  # a correlation of a sample with itself has no error
        return np.array([(f.value - exact) / f.stderr for f in found])


@functools.cache
def influences(correlation):
    model = Linear()
    exact = -model.covariance
    if correlation:
        spread = np.sqrt(np.diag(model.covariance))
        exact = exact / np.outer(spread, spread)
    return scores(lambda rng: influence(model.losses(rng), correlation=correlation), exact)


def calibrated(z):
    """Mean zero within errors and a bias below a third of an error, spread near one, over all entries."""
    assert np.abs(z.mean(0)).max() < 4 / len(z) ** 0.5 + 0.3
    assert 0.9 < np.sqrt(np.square(z - z.mean(0)).mean()) < 1.2
    assert ((z.std(0) > 0.7) & (z.std(0) < 1.5)).all()


@pytest.mark.parametrize("correlation", [False, True])
def test_influence_is_the_exact_covariance_within_calibrated_errors(correlation):
    z = influences(correlation)
    calibrated(z[:, ~np.eye(SAMPLES, dtype=bool)] if correlation else z)  # each with itself: one, without error


def test_influence_of_a_sample_on_itself_is_less_than_nothing_and_its_correlation_minus_one():
    losses = Linear().losses(np.random.default_rng(0))
    found = influence(losses, correlation=True)
    assert np.diag(found.value) == pytest.approx(-1)
    assert np.diag(found.stderr) == pytest.approx(0, abs=1e-9)
    assert (np.diag(influence(losses).value) < 0).all()
    plain = influence(losses).value
    assert plain == pytest.approx(-np.cov(losses.reshape(-1, SAMPLES).T))
    assert influence(losses + 1e6).value == pytest.approx(plain, rel=1e-6, abs=1e-9)


def test_influence_on_queries_keeps_rows_for_queries_and_columns_for_samples():
    losses = Linear().losses(np.random.default_rng(0))
    queries = losses[:, :, :3] * 2
    found, all_of = influence(losses, queries), influence(losses)
    assert found.value.shape == (3, SAMPLES)
    assert found.value == pytest.approx(2 * all_of.value[:3])
    assert found.stderr == pytest.approx(2 * all_of.stderr[:3])
    one = influence(losses, queries, correlation=True)
    assert one.value == pytest.approx(influence(losses, correlation=True).value[:3])


def test_influence_is_the_derivative_of_the_posterior_mean():
    """More weight on sample j moves E[q_i] by nbeta/n times -Cov: read from exact posteriors on either side."""
    model, step = Linear(), 1e-4
    means = []
    for sign in (1, -1):
        weight = np.ones(SAMPLES)
        weight[5] += sign * step
        precision = NBETA / SAMPLES * (model.x.T * weight) @ model.x + GAMMA * np.eye(D)
        shifted = NBETA / SAMPLES * (model.x.T * weight) @ model.y + GAMMA * model.best
        w, cov = np.linalg.solve(precision, shifted), np.linalg.inv(precision)
        means.append(0.5 * (model.y - model.x @ w) ** 2 + 0.5 * np.diag(model.x @ cov @ model.x.T))
    derivative = (means[0] - means[1]) / (2 * step)
    assert derivative == pytest.approx(-NBETA / SAMPLES * model.covariance[5], rel=1e-5)


@functools.cache
def susceptibilities():
    part, full = Linear([0, 2]), Linear()

    def measure(rng):
        inside = part.losses(rng)
        return susceptibility(inside.mean(2) - part.minimum, inside, full.losses(rng, 5, 300), NBETA)

    return scores(measure, exact_susceptibility(part, full))


def test_susceptibility_of_a_component_is_exact_within_calibrated_errors():
    calibrated(susceptibilities())


def test_susceptibility_of_the_whole_model_is_a_covariance():
    full = Linear()

    def measure(rng):
        losses = full.losses(rng)
        return susceptibility(losses.mean(2) - full.minimum, losses, None, NBETA)

    calibrated(scores(measure, exact_susceptibility(full, full)))


def test_susceptibilities_sum_to_zero_and_see_no_offset():
    rng, part, full = np.random.default_rng(0), Linear([0, 2]), Linear()
    inside, outside = part.losses(rng), full.losses(rng)
    phi, offset = inside.mean(2) - part.minimum, 100 * rng.standard_normal(SAMPLES)
    found = susceptibility(phi, inside, outside, NBETA)
    moved = susceptibility(phi, inside + offset, outside + offset, NBETA)
    assert found.value.sum() == pytest.approx(0, abs=1e-9)
    assert moved.value == pytest.approx(found.value, abs=1e-9)
    assert moved.stderr == pytest.approx(found.stderr, rel=1e-6)


def test_the_tests_can_fail():
    part, full = Linear([0, 2]), Linear()
    rng, errors, naive = np.random.default_rng(1), [], []
    for _ in range(40):
        inside, outside = part.losses(rng), full.losses(rng)
        errors.append(susceptibility(inside.mean(2) - part.minimum, inside, outside, NBETA).stderr)
        product = np.prod([outside[:, :, k] - outside[:, :, k].mean() for k in (0, 1)], 0)
        naive.append((product.mean() - full.covariance[0, 1]) / (product.std() / product.size**0.5))
    wrong = exact_susceptibility(part, part)  # the full posterior taken for the restricted one
    assert (np.abs(exact_susceptibility(part, full) - wrong) / np.mean(errors, 0)).max() > 4
    assert np.std(naive) > 1.2  # errors as of independent draws


def test_errors_count_autocorrelation():
    """Independent draws and slow ones of the same law: errors differ as the draws' own correlation says."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((8, 4000))
    slow = noise.copy()
    for t in range(1, 4000):
        slow[:, t] = 0.9 * slow[:, t - 1] + (1 - 0.81) ** 0.5 * noise[:, t]
    ratio = influence(slow[..., None]).stderr / influence(noise[..., None]).stderr
    assert ratio[0, 0] == pytest.approx(((1 + 0.81) / (1 - 0.81)) ** 0.5, rel=0.5)  # of two errors of 16 % each


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: influence(np.ones((4, 100))), r"\(4, 100\)"),
        (lambda: influence(np.ones((4, 9, 3))), "at least 10 draws"),
        (lambda: influence(np.ones((4, 100, 3)), np.ones((4, 90, 3))), "same draws"),
        (lambda: influence(np.full((4, 100, 3), np.inf)), "finite"),
        (lambda: influence(np.ones((4, 100, 3)), correlation=True), "column 0"),
        (lambda: susceptibility(np.ones((4, 90)), np.ones((4, 100, 3)), None, 1.0), "same draws"),
        (lambda: susceptibility(np.ones((4, 100)), np.ones((4, 100, 3)), np.ones((4, 100, 2)), 1.0), "2 samples"),
        (lambda: susceptibility(np.ones((4, 100)), np.ones((4, 100, 3)), None, 0.0), "nbeta"),
    ],
)
def test_wrong_input_is_refused_in_a_line(call, said):
    with pytest.raises(InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
