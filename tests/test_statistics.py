"""Statistics of singular learning theory, against Gaussian integrals and quadrature at the n and beta used."""

import functools

import numpy as np
import pytest
from scipy.special import k0, logsumexp

from thalweg.errors import InputError
from thalweg.estimators.statistics import predict, waic, wbic
from thalweg.estimators.temperatures import Quantity, agree, multiplicity, slope
from thalweg.landscape import Estimate
from thalweg.types import Verdict

RHO = 0.6  # autocorrelation of draws


class Regression:
    """y = c x + e on fixed data, prior c ~ N(0, 1): losses (y - c x)^2/2, and the exact law of c."""

    def __init__(self, n=60, beta=1.0, seed=0, truth=0.3):
        rng = np.random.default_rng(seed)
        self.n, self.beta = n, beta
        self.x = rng.standard_normal(n)
        self.y = truth * self.x + rng.standard_normal(n)
        self.var = 1 / (beta * self.x @ self.x + 1)
        self.mean = self.var * beta * self.x @ self.y
        self.rest, self.spread = self.y - self.mean * self.x, self.x**2 * self.var  # c x - y ~ N(-rest, spread)

    def losses(self, c):
        return 0.5 * (self.y - np.asarray(c)[..., None] * self.x) ** 2

    def draws(self, rng, chains=4, count=300):
        """Stationary AR(1) chains of the posterior."""
        noise = rng.standard_normal((chains, count))
        z = noise.copy()
        for t in range(1, count):
            z[:, t] = RHO * z[:, t - 1] + (1 - RHO**2) ** 0.5 * noise[:, t]
        return self.mean + self.var**0.5 * z

    @property
    def exact(self):
        r2, v = self.rest**2, self.spread
        t = (0.5 * np.log1p(v) + 0.5 * r2 / (1 + v)).mean()  # E exp(-z^2/2), z ~ N(rest, v)
        total = (r2 * v + 0.5 * v**2).sum()  # Var(z^2/2)
        return {
            "bayes_training": t,
            "gibbs_training": (0.5 * (r2 + v)).mean(),
            "variance": total,
            "nu": self.beta * total / 2,
            "gap": self.beta * total / self.n,
            "waic": t + self.beta * total / self.n,
        }


@functools.cache
def repeated(beta=1.0, repetitions=120):
    """z-scores of every part of WAIC over repetitions of the chains; of one, with errors as of independent draws."""
    model, rng, z, naive = Regression(beta=beta), np.random.default_rng(1), [], []
    base = model.losses(model.mean)
    for _ in range(repetitions):
        c = model.draws(rng)
        found = waic(model.losses(c), base, beta * model.n, model.n)
        z.append([(getattr(found, k).value - v) / getattr(found, k).stderr for k, v in model.exact.items()])
        gibbs = model.losses(c).mean(-1)
        naive.append((gibbs.mean() - model.exact["gibbs_training"]) / (gibbs.std() / gibbs.size**0.5))
    return np.array(z), np.array(naive)


@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_waic_and_all_its_parts_have_their_exact_means_within_their_errors(beta):
    z, _ = repeated(beta)
    assert (
        np.abs(z.mean(0)).max() < 4 / len(z) ** 0.5 + 0.15
    )  # skewed parts, and log of a mean: bias of an error's share
    assert ((z.std(0) > 0.8) & (z.std(0) < 1.25)).all()


def test_the_calibration_can_fail():  # errors as of independent draws
    _, naive = repeated()
    assert naive.std() > 1.35  # squares correlate as RHO^2: sqrt((1 + .36)/(1 - .36)) = 1.46


def test_losses_of_any_offset_lose_no_digits():
    model, c = Regression(), Regression().draws(np.random.default_rng(0))
    losses, base = model.losses(c), model.losses(model.mean)
    far = waic(losses + 1e4, base + 1e4, model.n, model.n)  # exp(-1e4) is zero
    near = waic(losses, base, model.n, model.n)
    assert far.waic.value - 1e4 == pytest.approx(near.waic.value, abs=1e-10)
    assert far.variance.value == pytest.approx(near.variance.value, rel=1e-8)
    assert near.pointwise.mean() == pytest.approx(near.waic.value, abs=1e-14)
    assert near.baseline == base.mean()
    half = waic(losses[:, :, ::2], base[::2], model.n, model.n)  # a subset stands for all
    assert half.variance.value == pytest.approx(2 * (losses[:, :, ::2].var((0, 1), ddof=1)).sum())


def test_wbic_is_exact_and_near_the_free_energy():
    n = 400
    model = Regression(n=n, beta=1 / np.log(n))
    exact = n * model.exact["gibbs_training"]
    losses = model.losses(model.draws(np.random.default_rng(0), count=2000))
    found = wbic(losses, n / np.log(n), n)
    assert abs(found.value - exact) < 4 * found.stderr
    assert found.stderr < 0.1
    assert found.rhat < 1.05
    assert found.ess < losses[..., 0].size / 1.5
    means = wbic(losses.mean(-1), n / np.log(n), n)  # a trace does as well
    assert means.value == pytest.approx(found.value)
    s = model.x @ model.x + 1
    free = 0.5 * (model.y @ model.y - (model.x @ model.y) ** 2 / s) + 0.5 * np.log(s)  # -log of the evidence
    assert abs(exact - free) < 1  # O_p(sqrt(log n)), here a constant
    bayes = Regression(n=n, beta=1.0)
    assert free - n * bayes.exact["gibbs_training"] > 2  # beta = 1 misses lambda log n: the test can fail


def test_wbic_refuses_another_temperature():
    with pytest.raises(InputError, match="n/log n"):
        wbic(np.ones((2, 10)), 60, 60)


def test_slope_of_two_temperatures_is_half_the_dimension():
    """Flat prior: E[L] = L_min + 1/(2 nbeta), whatever the temperatures."""
    rng, z = np.random.default_rng(2), []
    for k in range(60):
        runs = []
        for beta in (0.1, 0.3):
            model = Regression(beta=beta, seed=k)
            model.var = 1 / (beta * model.x @ model.x)
            model.mean = model.var * beta * model.x @ model.y
            runs.append(model.losses(model.draws(rng)))
        found = slope(runs[0], 0.1 * 60, runs[1].mean(-1), 0.3 * 60)
        z.append((found.value - 0.5) / found.stderr)
    assert abs(np.mean(z)) < 4 / 60**0.5
    assert 0.75 < np.std(z) < 1.3
    wrong = slope(runs[0], 0.1, runs[1].mean(-1), 0.3)  # beta in the place of nbeta
    assert abs(wrong.value - 0.5) > 10 * wrong.stderr


def test_agree_gives_normal_probabilities():
    assert agree(Quantity(1.0, 0.3), Quantity(1.0 + 0.5 * 1.959964, 0.4)).p == pytest.approx(0.05, abs=1e-6)
    rng = np.random.default_rng(0)
    p = [agree(Quantity(a, 1.0), Quantity(b, 2.0)).p for a, b in rng.standard_normal((4000, 2)) * [1, 2]]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=4 * (0.09 / 4000) ** 0.5)
    apart = agree(Quantity(3.0, 0.1), Quantity(2.0, 0.1))
    assert apart.z == pytest.approx(50**0.5)
    assert apart.p < 1e-10
    assert agree(Quantity(1.0), Quantity(1.0)).p == 1.0
    assert agree(Quantity(1.0), Quantity(2.0)).z == -np.inf
    estimate = Estimate(1.0, 0.1, 1.0, 400.0, Verdict.HEALTHY, (), {})
    assert agree(estimate, Quantity(1.0, 0.1)).z == 0


def test_multiplicity_fits_its_law():
    rng, nbetas = np.random.default_rng(0), np.geomspace(1e2, 1e7, 6)
    errors = np.array([0.01, 0.02, 0.01, 0.03, 0.01, 0.02])
    law = 0.5 - 1 / np.log(nbetas)
    fits = [multiplicity(nbetas, law + errors * rng.standard_normal(6), errors) for _ in range(300)]
    z = np.array([[(f.llc.value - 0.5) / f.llc.stderr, (f.order.value - 1) / f.order.stderr] for f in fits])
    assert np.abs(z.mean(0)).max() < 4 / 300**0.5
    assert ((z.std(0) > 0.85) & (z.std(0) < 1.15)).all()
    assert np.corrcoef(z.T)[0, 1] == pytest.approx(fits[0].correlation, abs=0.05)
    assert np.mean([f.p < 0.1 for f in fits]) == pytest.approx(0.1, abs=4 * 0.3 / 300**0.5)


def test_multiplicity_knows_one_from_two_and_a_wrong_law():
    nbetas, errors = np.geomspace(1e3, 1e6, 7), np.full(7, 0.002)
    toric = multiplicity(nbetas, 0.5 - 1 / (np.log(nbetas) + 1.9635), errors)  # w1^2 w2^2 on the unit square, exact
    assert toric.order.value == pytest.approx(0.68, abs=0.01)
    assert agree(toric.order, Quantity(0.0)).z > 10
    assert agree(multiplicity(nbetas, np.full(7, 0.5), errors).order, Quantity(0.0)).p > 0.99
    assert multiplicity(nbetas, 1e-4 * nbetas**0.5, errors).p < 1e-6


# ------------------------------------------------------------------------------------------- a singular model


@functools.cache
def data_sets(singular, sets=100, n=1000, strata=300):
    """n times losses of y = c x + e with truth 0, minus those of the truth, on average over data sets.

    Singular: c = ab with a, b ~ N(0, 1), so that c has density K_0(|c|)/pi. Draws are one from each
    stratum of the posterior of c, on a grid. The maximum likelihood excess, whose mean is known
    exactly, takes most of the noise between data sets away.
    """
    rng = np.random.default_rng(0)
    edges = np.concatenate([[0], np.geomspace(1e-10, 8 / n**0.5, 1500)])
    middle = 0.5 * (edges[1:] + edges[:-1])
    prior = k0(middle) / np.pi if singular else np.exp(-0.5 * middle**2)
    grid = np.concatenate([-edges[::-1], edges[1:]])
    cells = np.concatenate([-middle[::-1], middle])
    mass = np.log(np.concatenate([(prior * np.diff(edges))[::-1], prior * np.diff(edges)]))
    (hx, wx), (hy, wy) = (np.polynomial.hermite_e.hermegauss(k) for k in (10, 14))
    rows, known = [], []
    for _ in range(sets):
        x, y = rng.standard_normal((2, n))
        log = mass + cells * (x @ y) - 0.5 * cells**2 * (x @ x)
        cumulative = np.concatenate([[0], np.cumsum(np.exp(log - logsumexp(log)))])
        c = np.interp((np.arange(strata) + rng.random(strata)) / strata, cumulative / cumulative[-1], grid)
        base = 0.5 * y**2
        found = waic((base - np.outer(c, x * y) + 0.5 * np.outer(c**2, x**2))[None], base, n, n)
        inside = np.exp(np.multiply.outer(np.outer(hx, hy), c) - 0.5 * np.multiply.outer(hx**2, c**2)[:, None])
        bayes = -(wx[:, None] * wy * np.log(inside.mean(-1))).sum() / (wx.sum() * wy.sum())
        values = (found.bayes_training.value, found.gibbs_training.value, found.waic.value)
        rows.append(
            [n * bayes, 0.5 * n * (c**2).mean(), *(n * (v - base.mean()) for v in values), found.variance.value]
        )
        known.append([-0.5 * (x @ y) ** 2 / (x @ x) + 0.5, 0.5 * n * (x @ y / (x @ x)) ** 2 - 0.5 * n / (n - 2)])
    return dict(zip(("G", "Gg", "T", "Gt", "waic", "V"), np.array(rows).T, strict=True)), np.array(known)


def mean_of(values, known):
    """Mean and error, with the noise that is known regressed out."""
    design = np.column_stack([np.ones(len(known)), known])
    fit = np.linalg.lstsq(design, values, rcond=None)[0]
    return fit[0], (values - design @ fit).std() / len(values) ** 0.5


# singular: quadrature over 1,500 other data sets, errors .002; regular: n G = 1/2 and so on up to O(1/n)
TRUTH = {
    True: {"G": 0.372, "Gg": 0.802, "T": -0.486, "Gt": -0.061, "waic": 0.367, "V": 0.853},
    False: {"G": 0.5, "Gg": 1.0, "T": -0.5, "Gt": 0.0, "waic": 0.5, "V": 1.0},
}


@pytest.mark.parametrize("singular", [True, False])
def test_losses_of_a_singular_and_a_regular_model(singular):
    found, known = data_sets(singular)
    for name, truth in TRUTH[singular].items():
        mean, error = mean_of(found[name], known)
        assert abs(mean - truth) < 4 * error + 0.006, (name, mean, error)
    wrong, error = mean_of(found["G"], known)
    assert abs(wrong - TRUTH[not singular]["G"]) > 4 * error + 0.006  # the test can fail


def test_the_gap_is_twice_nu_and_not_twice_lambda():
    found, known = data_sets(True)
    for generalisation, training in (("G", "T"), ("Gg", "Gt")):
        gap, error = mean_of(found[generalisation] - found[training] - found["V"], known)
        assert abs(gap) < 4 * error + 0.01, (gap, error)
        against, error = mean_of(found[generalisation] - found[training] - 1.0, known)  # 2 lambda = 1
        assert against < -8 * error
    regular, known = data_sets(False)
    same, error = mean_of(regular["G"] - regular["T"] - 1.0, known)  # lambda = nu: nothing to tell them apart
    assert abs(same) < 4 * error + 0.006


def test_predicted_losses_are_those_of_the_singular_model():
    """With lambda at this n, .5 - 1/log n + ..., read from G itself, and nu from V, the other three follow."""
    found, known = data_sets(True)
    value = {k: mean_of(v, known)[0] for k, v in found.items()}
    theory = predict(Quantity(value["G"], 0.01), Quantity(value["V"] / 2, 0.02), 1.0, 1000)
    assert theory.bayes_generalisation == Quantity(pytest.approx(value["G"] / 1000), pytest.approx(1e-5))
    for name, predicted in (
        ("Gg", theory.gibbs_generalisation),
        ("T", theory.bayes_training),
        ("Gt", theory.gibbs_training),
    ):
        assert abs(1000 * predicted.value - value[name]) < 0.02, name
    assert 1000 * theory.bayes_training.stderr == pytest.approx((0.01**2 + 0.04**2) ** 0.5)
    assert 1000 * theory.gibbs_training.stderr == pytest.approx((0.01**2 + 0.02**2) ** 0.5)
    cold = predict(Quantity(0.5), Quantity(0.3), 2.0, 100)
    assert 100 * cold.bayes_generalisation.value == pytest.approx(0.1 + 0.3)
    assert 100 * cold.gibbs_training.value == pytest.approx(0.25 - 0.3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: waic(np.ones((4, 9)), np.ones(9), 9, 9), r"\(4, 9\)"),
        (lambda: waic(np.ones((4, 2, 9)), np.ones(9), 9, 9), "at least 4"),
        (lambda: waic(np.ones((4, 9, 5)), np.ones(9), 9, 9), "baseline"),
        (lambda: waic(np.full((4, 9, 5), np.nan), np.ones(5), 9, 9), "4 of 4 chains"),
        (lambda: waic(np.ones((4, 9, 5)), np.ones(5), 0.0, 9), "nbeta"),
        (lambda: slope(np.ones((4, 9)), 5.0, np.ones((4, 9)), 5.0), "two temperatures"),
        (lambda: multiplicity([10.0, 10.0], [1.0, 1.0], [0.1, 0.1]), "needs two"),
        (lambda: multiplicity([10.0, 1.0], [1.0, 1.0], [0.1, 0.1]), "nbeta > 1"),
        (lambda: multiplicity([10.0, 20.0], [1.0, 1.0], [0.1]), "one llc"),
        (lambda: agree(Quantity(np.nan), Quantity(1.0)), "finite"),
        (lambda: predict(Quantity(1.0), Quantity(1.0), -1.0, 100), "nbeta"),
    ],
)
def test_wrong_input_is_refused_in_a_line(call, said):
    with pytest.raises(InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
