"""Bob's learning gap: each certified bound covers as often as it says, and its careless sisters do not."""

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch import nn
from torch.distributions import Normal, kl_divergence

import thalweg as tw
from thalweg.certificates import (
    GeneralisationBound,
    certified_gap,
    drawn,
    empirical_bernstein,
    gaussian_divergence,
    gibbs_bound,
    hoeffding,
    kl_inverse,
    pac_bayes_kl,
    predicted_gap,
    split_delta,
    truncation_tail,
)
from thalweg.envs.corner import Mouse, corner
from thalweg.errors import InputError, UnhealthyError
from thalweg.rl import regret_landscape
from thalweg.rl.exact_regret import PolicyLosses
from thalweg.rng import stream
from thalweg.samplers.tempering import temper
from thalweg.types import Verdict

RUNS, DELTA = 2000, 0.1
MOST = DELTA + 3 * math.sqrt(DELTA * (1 - DELTA) / RUNS)


# --- a policy that was fixed before the test ---


def bernoulli(p):
    return (lambda rng, n: (rng.random(n) < p).astype(float)), p


LAWS = {
    "fair coin": bernoulli(0.5),
    "rare harm": bernoulli(0.01),
    "beta": ((lambda rng, n: rng.beta(0.3, 2.0, n)), 0.3 / 2.3),
    "constant": ((lambda rng, n: np.full(n, 0.25)), 0.25),
}


def violations(bound, law, n, runs=RUNS):
    draw, mean = LAWS[law]
    rng = np.random.default_rng(n)
    return np.mean([bound(draw(rng, n)) < mean for _ in range(runs)])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("bound", [empirical_bernstein, hoeffding])
def test_a_bound_fails_no_more_often_than_delta(bound, law):
    for n in (5, 60):
        assert violations(lambda x: bound(x, DELTA, 1.0).value, law, n) <= MOST


def test_the_variance_term_alone_fails():  # negative control: no term of the range
    def careless(x):
        gap = empirical_bernstein(x, DELTA, 1.0)
        return gap.value - gap.terms["range"]

    assert violations(careless, "rare harm", 60) > 0.5  # 0.99^60: nothing was seen, and no variance


def test_the_sample_mean_alone_fails():  # negative control for Hoeffding
    assert violations(lambda x: x.mean(), "fair coin", 60) > 0.4


def test_bernstein_has_the_constants_of_the_theorem():
    x, n, delta = np.array([0.0, 1.0, 2.0, 1.0]), 4, 0.05
    variance = 2 / 3
    exact = 1 + math.sqrt(2 * variance * math.log(40) / n) + 7 * 2 * math.log(40) / (3 * (n - 1)) + 0.5
    gap = empirical_bernstein(x, delta, 2.0, tail=0.5)
    assert math.isclose(gap.value, exact, rel_tol=1e-14)
    assert gap.kind == "certified"
    assert gap.delta == delta
    assert any("cut" in line for line in gap.assumptions)
    moved = empirical_bernstein(x - 5, delta, -3.0, lower=-5.0, tail=0.5)
    assert math.isclose(moved.value, exact - 5, rel_tol=1e-13)  # a shift of losses shifts the bound
    scaled = empirical_bernstein(7 * x, delta, 14.0, tail=3.5)
    assert math.isclose(scaled.value, 7 * exact, rel_tol=1e-14)
    assert math.isclose(hoeffding(x, delta, 2.0).value, 1 + 2 * math.sqrt(math.log(20) / 8), rel_tol=1e-14)


def test_the_tail_of_a_cut_episode_is_what_is_lost_at_most():
    discount, horizon = 0.9, 13
    whole = (discount ** np.arange(3000)).sum()
    cut = (discount ** np.arange(horizon)).sum()
    assert math.isclose(cut + truncation_tail(discount, horizon, 1.0), whole, rel_tol=1e-13)  # attained
    assert cut + truncation_tail(discount, horizon + 1, 1.0) < whole - 0.1  # negative control: a step too many
    assert truncation_tail(0.0, 1, 5.0) == 0


def test_rounding_of_a_regret_is_no_loss_outside_its_range():
    assert hoeffding([-1e-16, 0.0, 1 + 1e-15], 0.1, 1.0).healthy
    with pytest.raises(InputError, match="outside"):
        hoeffding([-1e-6, 0.0], 0.1, 1.0)  # negative control


@pytest.mark.parametrize(
    "call",
    [
        lambda: empirical_bernstein([0.1, 1.2], 0.1, 1.0),
        lambda: empirical_bernstein([0.1, math.nan], 0.1, 1.0),
        lambda: empirical_bernstein([0.1], 0.1, 1.0),
        lambda: empirical_bernstein([0.1, 0.2], 1.0, 1.0),
        lambda: hoeffding([0.1, 0.2], 0.1, math.inf),
        lambda: hoeffding([-0.1, 0.2], 0.1, 1.0),
        lambda: hoeffding([0.1], 0.1, 1.0, tail=-1.0),
        lambda: truncation_tail(1.0, 3, 1.0),
        lambda: kl_inverse(1.1, 0.1),
        lambda: kl_inverse(0.1, -0.1),
        lambda: pac_bayes_kl(1.1, 1.0, 10, 0.1, 1.0),
        lambda: pac_bayes_kl(0.1, -1.0, 10, 0.1, 1.0),
        lambda: gaussian_divergence([0.0, 0.0], [1.0, 1.0, 1.0], 0.0, 1.0),
        lambda: gaussian_divergence([0.0], 0.0, 0.0, 1.0),
        lambda: split_delta(0.1, 0),
        lambda: predicted_gap(1.0, 0.0),
    ],
)
def test_wrong_input_is_named(call):
    with pytest.raises(InputError, match="give"):
        call()


# --- PAC-Bayes ---


def kl(q, p):
    return rel_entr(q, p) + rel_entr(1 - q, 1 - p)


def test_kl_inverse_in_closed_cases_and_on_a_grid():
    for bound in (1e-12, 0.3, 5.0, 40.0):
        assert math.isclose(kl_inverse(0.0, bound), -math.expm1(-bound), rel_tol=1e-12)
        assert kl_inverse(1.0, bound) == 1.0
    # kl(1/2||p) = -ln(4 p (1 - p)) / 2
    assert math.isclose(kl_inverse(0.5, 0.7), (1 + math.sqrt(1 - math.exp(-1.4))) / 2, rel_tol=1e-14)
    assert kl_inverse(0.3, 0.0) == 0.3
    for q in (0.01, 0.2, 0.9):
        for bound in (1e-3, 0.1, 1.0):
            p = kl_inverse(q, bound)
            assert math.isclose(kl(q, p), bound, rel_tol=1e-10)
            assert p > q
            assert p < q + math.sqrt(bound / 2)  # Pinsker
    tiny = kl_inverse(0.3, 1e-20) - 0.3  # sqrt(2 q (1 - q) bound), where both logarithms cancel
    assert math.isclose(tiny, math.sqrt(2 * 0.21e-20), rel_tol=1e-5)


def test_maurers_constant_holds_for_few_levels_too():
    for n in range(1, 40):
        xi = sum(math.comb(n, k) * (k / n) ** k * (1 - k / n) ** (n - k) for k in range(n + 1))
        assert xi <= 2 * math.sqrt(n) + 1e-12


def finite_class(seed, n=40, policies=50):
    """Whether the bound of a Gibbs posterior on a class of coins fails, with the uniform prior."""
    rng = np.random.default_rng(seed)
    means = rng.random(policies) * 0.5 + 0.25
    empirical = rng.binomial(n, means) / n
    weights = np.exp(-30 * (empirical - empirical.min()))
    weights /= weights.sum()
    divergence = rel_entr(weights, 1 / policies).sum()
    return pac_bayes_kl(weights @ empirical, divergence, n, DELTA, 1.0).value < weights @ means


def test_pac_bayes_covers_a_posterior_that_saw_the_levels():
    assert np.mean([finite_class(seed) for seed in range(RUNS)]) <= MOST


def flat_class(seed, n=30, policies=2000):
    """Policies alike, of which the luckiest is chosen: an honest prior pays ln(2000), one after the data nothing."""
    empirical = np.random.default_rng(seed).binomial(n, 0.5, policies).min() / n
    bounds = (pac_bayes_kl(empirical, d, n, DELTA, 1.0).value for d in (math.log(policies), 0.0))
    return [bound < 0.5 for bound in bounds]


def test_a_prior_that_saw_the_data_fails():  # negative control
    right, wrong = np.mean([flat_class(seed) for seed in range(RUNS)], 0)
    assert right <= MOST
    assert wrong > 0.5


def test_divergence_of_gaussians_is_torchs():
    g = torch.Generator().manual_seed(0)
    mean, prior = torch.randn(2, 50, generator=g, dtype=torch.float64)
    scale, wide = torch.rand(2, 50, generator=g, dtype=torch.float64) * 3 + 0.01
    exact = kl_divergence(Normal(mean, scale), Normal(prior, wide)).sum().item()
    assert math.isclose(gaussian_divergence(mean, scale, prior, wide), exact, rel_tol=1e-13)
    exact = kl_divergence(Normal(mean, 0.3), Normal(0.0, 2.0)).sum().item()
    assert math.isclose(gaussian_divergence(mean, 0.3, 0.0, 2.0), exact, rel_tol=1e-13)
    assert gaussian_divergence(mean, scale, mean, scale) == 0
    assert gaussian_divergence([0.0], 1 + 1e-9, 0.0, 1.0) == pytest.approx(1e-18, rel=1e-6)
    assert gaussian_divergence([0.0], 1e-12, 0.0, 1.0) == pytest.approx(-0.5 + 12 * math.log(10))


# --- a Gaussian posterior over weights, on levels of the corner ---

LEVELS = corner(5, alpha=0.6, discount=0.9, horizon=12)


class Compass(nn.Module):
    """Logits linear in the way to the cheese: eight weights, which cannot learn levels by heart."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, 4, dtype=torch.float64))

    def forward(self, places):
        mouse, cheese = places[..., 0], places[..., 1]
        return torch.stack([cheese // 3 - mouse // 3, cheese % 3 - mouse % 3], -1).double() @ self.w


def trained(policy, levels, updates=15):
    """The policy after exact gradient steps on these levels."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.3)
    for _ in range(updates):
        optimizer.zero_grad()
        logits = policy(levels.observations.flatten(0, 1)).reshape(len(levels), levels.states, -1)
        levels.regret(torch.softmax(logits, -1)).backward()
        optimizer.step()
    return policy


def true_regret(policy, family, scale, seed, draws=100):
    """E_rho of the regret over the whole family, with its standard error."""
    scape = regret_landscape(policy, family, n=10)
    center = scape.layout.flatten(scape.params)
    g = torch.Generator().manual_seed(1000 + seed)
    found = []
    for _ in range(draws):
        weights = center + scale * torch.randn(len(center), generator=g, dtype=torch.float64)
        losses = scape.losses(scape.layout.unflatten(weights), scape.frozen, *scape.data.take(slice(None)))
        found.append(losses.mean().item())
    return np.mean(found), np.std(found) / math.sqrt(draws)


def test_levels_are_drawn_by_their_weights():
    sample = drawn(LEVELS, 20_000, seed=1)
    share = sample.groups["corner"].double().mean()
    exact = LEVELS.weight[0]
    assert abs(share - exact) < 4 * math.sqrt(exact * (1 - exact) / 20_000)
    policy = torch.full((len(LEVELS), LEVELS.states, 4), 0.25, dtype=torch.float64)
    same = LEVELS.regrets(policy)[[int(row[0, 1]) for row in sample.observations[:5]]]
    assert torch.equal(drawn(sample, 1).weight, torch.ones(1).double())
    few = sample.only(torch.arange(20_000) < 5)
    assert torch.allclose(few.regrets(policy[:5]), same)


def certified(policy, levels, draws=200, scale=(0.4, 0.8), seed=0, **changes):
    scape = regret_landscape(policy, levels, n=len(levels))
    given = {"prior_mean": 0.0, "prior_scale": 2.0, "prior_data": None, "upper": 1.0} | changes
    return certified_gap(scape, scale, draws=draws, delta=DELTA, seed=seed, **given)


def test_certified_gap_covers_the_whole_family():
    """Twenty posteriors that were trained on their levels, each held against all levels; it may fail in a tenth."""
    for seed in range(20):
        levels = drawn(LEVELS, 60, seed)
        policy = trained(Compass(), levels)
        gap = certified(policy, levels, seed=seed)
        truth, error = true_regret(policy, LEVELS, gap.terms["scale"], seed)
        assert truth + 4 * error < gap.value < 0.5  # and it says something


def test_regret_on_the_levels_of_training_is_no_bound():  # negative control: not lifted to all levels
    family = corner(7, alpha=1.0, discount=0.9, horizon=12)
    for seed in range(5):
        levels = drawn(family, 6, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            policy = trained(Mouse(7, hidden=(8,)).double(), levels, updates=30)
        gap = certified(policy, levels, scale=0.05, seed=seed)
        truth, error = true_regret(policy, family, 0.05, seed)
        assert gap.terms["empirical"] < truth - 4 * error < gap.value


def test_certified_gap_refuses_what_voids_it():
    levels = drawn(LEVELS, 10, 0)
    policy = trained(Compass(), levels, updates=3)
    own = dict(policy.named_parameters())
    with pytest.raises(InputError, match="w\\*"):
        certified(policy, levels, prior_mean={k: w.detach() for k, w in own.items()})
    declared = certified(
        policy, levels, draws=3, prior_mean=own["w"].detach().flatten(), prior_data="levels 11 to 20"
    )
    assert any("levels 11 to 20" in line for line in declared.assumptions)
    with pytest.raises(InputError, match="empty"):
        certified(policy, levels, prior_data=" ")
    with pytest.raises(InputError, match="independent draws"):
        certified(policy, LEVELS)
    with pytest.raises(InputError, match="float32"):
        certified(Mouse(5), levels)
    with pytest.raises(InputError, match="shape"):
        certified(policy, levels, prior_mean=torch.zeros(3))
    process = tw.MDP(torch.ones(2, 2, 2) / 2, [0.5, 0.5], 0.9)
    wrong = regret_landscape(tw.rl.Tabular(2, 2), process, n=10, reward=[0.0, 1.0])
    with pytest.raises(InputError, match="none of levels"):
        certified_gap(wrong, 0.1, prior_mean=1.0, prior_scale=1.0, prior_data=None, upper=1.0, draws=3, delta=0.1)
    low = certified(policy, levels, upper=0.05)
    with pytest.raises(UnhealthyError, match="outside"):
        _ = low.value
    assert low.raw == math.inf
    assert low.to_dict()["value"] is None


def test_soft_regret_is_no_bound_of_regret():
    scape = regret_landscape(Compass(), drawn(LEVELS, 40), n=40, temperature=0.05)
    with pytest.raises(InputError, match="soft regret"):
        certified_gap(scape, 0.1, prior_mean=0.0, prior_scale=1.0, prior_data=None, upper=1.0, draws=3, delta=0.1)


def test_a_level_that_was_drawn_twice_is_played_once_and_counts_twice(monkeypatch):
    levels, played = drawn(LEVELS.only(torch.arange(len(LEVELS)) < 5), 60, 0), []
    which = levels.observations.flatten(1).unique(dim=0, return_inverse=True)[1]
    scape, noise = regret_landscape(Compass(), levels, n=60), stream(0, "weights of a certificate", 0)
    weights = [0.4 * torch.randn(8, generator=noise, dtype=torch.float64) for _ in range(20)]
    each = [scape.losses(scape.layout.unflatten(w), {}, *scape.data.take(slice(None))) for w in weights]
    mean = torch.stack(each).mean(0)
    whole = PolicyLosses.__call__
    monkeypatch.setattr(PolicyLosses, "__call__", lambda *a: played.append(len(a[-1])) or whole(*a))
    found = certified(Compass(), levels, draws=20, scale=0.4, prior_mean=0.1).terms
    assert set(played[-20:]) == {5}
    assert found["mean of draws"] == pytest.approx(float(mean.mean()), rel=1e-12)
    assert found["log"] == pytest.approx(math.log(2 * math.sqrt(60) / (0.9 * DELTA)))  # n counts repeats
    once = torch.stack([mean[which == k][0] for k in range(5)]).mean()
    assert abs(found["mean of draws"] - float(once)) > 1e-3  # each level once has another mean


def test_the_draws_tail_is_paid_for():
    levels = drawn(LEVELS, 50, 0)
    policy = trained(Compass(), levels)
    few, many = (certified(policy, levels, draws=m, scale=0.4) for m in (3, 300))
    assert few.value > many.value
    for gap, m in ((few, 3), (many, 300)):
        exact = kl_inverse(gap.terms["mean of draws"], math.log(1 / (0.1 * DELTA)) / m)
        assert math.isclose(gap.terms["empirical"], exact, rel_tol=1e-12)
        exact = gaussian_divergence(policy.w.detach().flatten(), 0.4, 0.0, 2.0)
        assert math.isclose(gap.terms["divergence"], exact, rel_tol=1e-12)
        exact = kl_inverse(gap.terms["empirical"], (exact + math.log(2 * math.sqrt(50) / (0.9 * DELTA))) / 50)
        assert math.isclose(gap.value, exact, rel_tol=1e-12)


# --- what does not certify ---


class Line(nn.Module):
    """One weight: the chance of the wrong one of two actions is its sigmoid."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, states):
        return torch.stack([self.w.expand(len(states)), torch.zeros(len(states)).double()], -1)


def test_gibbs_bound_integrates_the_free_energy():
    """G_n(w) = sigmoid(w) under a standard normal prior: F_n = -ln E exp(-nb G_n) by quadrature."""
    n, b = 50, 0.4
    grid = torch.linspace(-12, 12, 20_001).double()
    prior = torch.exp(-grid.square() / 2)
    free = -math.log((prior * torch.exp(-n * b * torch.sigmoid(grid))).sum() / prior.sum())
    rungs = np.linspace(0, n * b, 9)
    found = temper(lambda w: torch.sigmoid(w[:, 0]), torch.zeros(4, 1).double(), rungs, sweeps=4000, burn_in=300)
    gap = gibbs_bound(rungs, found.loss.transpose(0, 1), n, DELTA, 1.0)
    exact = (free + math.log(1 / DELTA)) / (n * b) + b / 8
    assert abs(gap.value - exact) < 5 * gap.terms["stderr"] + 1e-3 / (n * b)
    assert gap.terms["stderr"] < 0.01
    assert gap.kind == "estimated"
    assert gap.terms["free energy, left sums"] > gap.terms["free energy"]
    assert gap.terms["posterior mean"] < gap.value
    wrong = gibbs_bound(rungs, found.loss.transpose(0, 1).flip(2), n, DELTA, 1.0)  # negative control
    with pytest.raises(UnhealthyError, match="rises"):
        _ = wrong.value
    for bad in (rungs + 1, rungs[::-1]):
        with pytest.raises(InputError, match="ascending"):
            gibbs_bound(bad, found.loss.transpose(0, 1), n, DELTA, 1.0)


def test_prediction_is_no_certificate():
    gap = predicted_gap(2.5, 100.0)
    assert gap.value == 0.025
    assert gap.kind == "predicted"
    assert gap.delta is None
    sick = tw.Estimate(2.5, 0.1, 2.0, 10.0, Verdict.CHAINS_DISAGREE, ("chains disagree",), {})
    gap = predicted_gap(sick, 100.0)
    with pytest.raises(UnhealthyError, match="chains"):
        _ = gap.value
    assert gap.raw == 0.025


def test_delta_is_split_over_checkpoints():
    assert split_delta(0.1, 20) == 0.005
    rng = np.random.default_rng(0)
    sets = rng.random((4000, 20, 40)) < 0.5
    low = lambda delta: 0.5 - math.sqrt(math.log(1 / delta) / 80)  # noqa: E731  (where Hoeffding's bound fails)
    any_fails = [(sets.mean(-1) < low(d)).any(-1).mean() for d in (split_delta(0.1, 20), 0.1)]
    assert any_fails[0] <= 0.1 < any_fails[1]  # unsplit, one of twenty fails too often


def test_a_gap_is_a_number_or_a_reason():
    fine = GeneralisationBound(raw=0.5, kind="certified", delta=0.1, assumptions=(), terms={"mean": 0.5})
    assert fine.value == 0.5
    assert fine.healthy
    assert fine.to_dict()["value"] == 0.5
    with pytest.raises(UnhealthyError, match="because"):
        _ = GeneralisationBound(
            raw=0.5, kind="certified", delta=0.1, assumptions=(), terms={}, reasons=("because",)
        ).value
