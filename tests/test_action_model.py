"""The held-out check of an action model; its size and power at length are in benchmarks/calibration_power.py."""

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.irl import (
    Behaviour,
    Boltzmann,
    Likelihood,
    Linear,
    Soft,
    dimensions_tested,
    goodness_of_fit,
    information,
    most_likely,
)
from thalweg.irl._scoring import climbed, jacobians
from thalweg.irl.goodness_of_fit import _order as order
from thalweg.irl.goodness_of_fit._order import by_order
from thalweg.irl.goodness_of_fit.held_out import SHARES, _holm

STATES, ACTIONS, FEATURES = 10, 3, 3
RULE = Boltzmann(50.0)


def alice(kind, seed, count=2000):
    """Choices in states drawn uniformly, and the class that she is said to have."""
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(STATES, 0.3), size=(STATES, ACTIONS))
    start = np.full(STATES, 1 / STATES)
    mdp = tw.MDP(moves, start, 0.9)
    values = Linear(torch.as_tensor(rng.normal(size=(STATES, FEATURES))))
    theta = rng.laplace(size=FEATURES)
    reward = values.reward(theta / np.abs(theta).sum(), ACTIONS)
    other = moves.reshape(-1, STATES)
    other = other[(np.arange(len(other)) + rng.integers(1, len(other), len(other))) % len(other)].reshape(moves.shape)
    policy = {
        "true": lambda: RULE.log_policy(mdp, reward).exp(),
        "epsilon-greedy": lambda: 0.9 * mdp.optimal(reward).policy + 0.1 / ACTIONS,
        "wrong dynamics": lambda: RULE.log_policy(tw.MDP(0.8 * moves + 0.2 * other, start, 0.9), reward).exp(),
        "soft": lambda: Soft(0.05).log_policy(mdp, reward).exp(),
    }[kind]()
    states = rng.integers(STATES, size=count)
    edges = policy.numpy().cumsum(1)[states]
    actions = (rng.random((count, 1)) * edges[:, -1:] > edges).sum(1)
    return Behaviour((mdp,), torch.as_tensor(states), torch.as_tensor(actions)), values


def refused(kind, seeds, **settings):
    return sum(goodness_of_fit(*alice(kind, seed), RULE, seed=seed, **settings).verdict == "failed" for seed in seeds)


def test_a_true_model_is_seldom_refused():
    assert refused("true", range(8), replicates=149) <= 2  # 3 or more in 8: 0.6 % at a size of 5 %


@pytest.mark.parametrize("kind", ["epsilon-greedy", "wrong dynamics"])
def test_a_wrong_model_is_refused(kind):
    assert refused(kind, range(4), replicates=149) >= 3


def test_an_unrestricted_reward_is_untestable():
    seen, _ = alice("epsilon-greedy", 0)
    wide = Linear(torch.eye(STATES * ACTIONS).double().reshape(STATES, ACTIONS, -1))
    found = goodness_of_fit(seen, wide, RULE)
    assert found.verdict == "untestable"
    assert found.p is None
    assert not found.passed
    assert "any choices" in found.reason
    for choice_model, class_ in ((Boltzmann(2.0, relative=False), 1.0), (Soft(0.3), 1.0)):
        assert goodness_of_fit(seen, Linear(wide.features, class_), choice_model).verdict == "untestable"


def test_dimensions_that_are_tested_are_counted():
    seen, values = alice("true", 0)
    assert (
        dimensions_tested(Likelihood.of(seen, values, RULE)) == 20 - 3
    )  # two of direction, and the inverse temperature
    assert dimensions_tested(Likelihood.of(seen.only(seen.states < 2), values, RULE)) == 4 - 3
    assert goodness_of_fit(seen.only(seen.states == 0), values, RULE).verdict == "untestable"


def test_few_choices_are_untestable_and_wrong_numbers_named():
    seen, values = alice("true", 0, 30)
    assert "held out" in goodness_of_fit(seen, values, RULE).reason
    with pytest.raises(tw.InputError, match="every 1"):
        goodness_of_fit(seen, values, RULE, every=1)
    with pytest.raises(tw.InputError, match="replicates 20"):
        goodness_of_fit(seen, values, RULE, replicates=20)


def test_the_check_is_the_same_each_time():
    one, two = (goodness_of_fit(*alice("true", 3), RULE, replicates=149, seed=5) for _ in range(2))
    assert one == two


def test_holm_by_hand():
    found = _holm([("a", 0.0, 0.01), ("b", 0.0, 0.04), ("c", 0.0, 0.03)])
    assert np.allclose([s.adjusted for s in found], [0.03, 0.06, 0.06])


def test_holm_with_shares_by_hand():
    found = _holm([("a", 0.0, 0.01), ("b", 0.0, 0.012), ("c", 0.0, 0.03)], {"a": 0.2, "b": 0.6, "c": 0.2})
    assert np.allclose([s.adjusted for s in found], [0.02, 0.02, 0.03])  # b first: 0.012 / 0.6; then a: 0.4 * 0.05
    assert sum(SHARES.values()) <= 1


# --- the order of choices ----------------------------------------------------------------------------------------


def ordered(seed, h=1.0, later=None, here=False, acting=False, count=2000):
    """Choices whose last action, or last one in this state, weighs h times; by later values from midway on."""
    rng = np.random.default_rng(seed)
    mdp = tw.MDP(rng.dirichlet(np.full(STATES, 0.3), size=(STATES, ACTIONS)), np.full(STATES, 1 / STATES), 0.9)
    values = Linear(torch.as_tensor(rng.normal(size=(STATES, FEATURES))))
    theta = rng.laplace(size=FEATURES)
    chances = [RULE.log_policy(mdp, values.reward(x, ACTIONS)).exp().numpy() for x in (theta, theta + (later or 0.0))]
    moves, state, last, states, actions = mdp.transitions.numpy(), 0, {}, [], []
    for t in range(count):
        weight, place = chances[2 * t // count][state].copy(), state if here else 0
        if place in last:
            weight[last[place]] *= h
        last[place] = int(rng.choice(ACTIONS, p=weight / weight.sum()))
        states.append(state)
        actions.append(last[place])
        state = int(rng.choice(STATES, p=moves[state, last[place]])) if acting else int(rng.integers(STATES))
    return Behaviour((mdp,), torch.tensor(states), torch.tensor(actions)), values


COUNTED, ORDERED = ("log-loss", "bins", "saturated"), ("repeats", "alternates", "repeats here", "drift")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("repeats", {"h": 1.8}),
        ("alternates", {"h": 0.5}),
        ("repeats here", {"h": 1.8, "here": True}),
        ("drift", {"later": 0.5}),
        (None, {"acting": True}),
    ],
)
def test_the_order_of_choices_is_tested(name, how):
    seen, values = ordered(0, **how)
    found = {s.name: s.adjusted for s in goodness_of_fit(seen, values, RULE, replicates=149).statistics}
    if name is None:  # negative control: no habit, in states that the choices lead to
        assert min(found[n] for n in ORDERED) > 0.05
    else:
        assert found[name] < 0.01


def test_counts_alone_do_not_see_a_habit():
    seen, values = ordered(0, h=1.8, acting=True)
    found = goodness_of_fit(seen, values, RULE, replicates=149)
    assert found.reason.startswith("choices do not follow the model: repeats (adjusted p = ")
    assert all(s.adjusted > found.level for s in found.statistics if s.name in COUNTED)


def test_a_shuffled_habit_is_none():
    seen, values = ordered(0, h=3.0)
    likelihood = Likelihood.of(seen, values, RULE)
    best = most_likely(likelihood, torch.Generator().manual_seed(0))
    mixed = seen.only(torch.randperm(len(seen), generator=torch.Generator().manual_seed(1)))
    one, two = (float(by_order(b, likelihood, best, 0)["repeats"][0][0]) for b in (seen, mixed))
    assert two < 4 < 8 < one


def scores(seed, **how):
    """Standardised scores of both habits, and the p-value of drift."""
    seen, values = ordered(seed, count=400, acting=True, **how)
    likelihood = Likelihood.of(seen, values, RULE)
    found = by_order(seen, likelihood, most_likely(likelihood, torch.Generator().manual_seed(0)), seed)
    drift = found["drift"][0]
    return [float(found[n][0][0]) for n in ("repeats", "repeats here")] + [float((drift >= drift[0]).double().mean())]


def test_scores_of_order_are_standard_where_choices_pick_the_states(monkeypatch):
    monkeypatch.setattr(order, "DRAWS", 199)
    count = 30
    found = np.array([scores(seed) for seed in range(count)])
    assert (np.abs(found[:, :2].mean(0)) < 4 / count**0.5).all()
    assert (np.abs(found[:, :2].var(0) - 1) < 4 * (2 / count) ** 0.5).all()
    assert abs(found[:, 2].mean() - 0.5) < 4 / (12 * count) ** 0.5
    assert np.mean([scores(seed, h=2.0)[0] for seed in range(8)]) > 4 / 8**0.5  # negative control


def test_scores_of_habits_by_hand_in_two_processes():
    """One feature has no weight to fit: U = sum 1[a = c] - p(c|s), V = sum p (1 - p), in the order of all choices."""
    rng, count = np.random.default_rng(0), 300
    worlds = tuple(tw.MDP(rng.dirichlet(np.ones(4), size=(4, a)), np.full(4, 0.25), 0.9) for a in (3, 2))
    values, choice_model = Linear(torch.arange(4.0).double()[:, None]), Boltzmann(3.0)
    where, states = rng.integers(2, size=count), rng.integers(4, size=count)
    actions = rng.integers(3 - where)
    seen = Behaviour(worlds, *map(torch.as_tensor, (states, actions, where)))
    chance = [choice_model.log_policy(m, values.reward([1.0], m.actions)).exp().numpy() for m in worlds]
    found = by_order(seen, Likelihood.of(seen, values, choice_model), torch.ones(1).double(), 0)
    for name in ("repeats", "repeats here"):
        last, score, variance = {}, 0.0, 0.0
        for e, s, a in zip(where, states, actions, strict=True):
            place = (e, s) if name == "repeats here" else 0
            if place in last and last[place] < worlds[e].actions:  # the second process has no third action
                p = chance[e][s, last[place]]
                score, variance = score + (a == last[place]) - p, variance + p * (1 - p)
            last[place] = a
        assert float(found[name][0][0]) == pytest.approx(score / variance**0.5)


def test_a_score_does_not_depend_on_the_fit():
    """To first order; counted repeats less expected ones do (negative control)."""
    seen, values = ordered(3, acting=True)
    likelihood = Likelihood.of(seen, values, RULE)
    best = most_likely(likelihood, torch.Generator().manual_seed(0))
    near = best * torch.tensor([1.05, 0.95, 1.0]).double()
    last, moved = order._before_here(seen), []
    kept = last >= 0
    for at in (best, near / near.abs().sum()):
        chance = likelihood.log_policy(at, 0).exp()[seen.states[kept], last[kept]]
        plain = ((seen.actions == last)[kept].double() - chance).sum() / (chance * (1 - chance)).sum().sqrt()
        moved.append((float(by_order(seen, likelihood, at, 0)["repeats here"][0][0]), float(plain)))
    score, plain = np.abs(np.subtract(*moved))
    assert score < 0.05 < 0.5 < plain


def test_slopes_are_differences_and_gains_are_chi_square():
    seen, values = alice("true", 1)
    likelihood = Likelihood.of(seen, values, RULE)
    best = most_likely(likelihood, torch.Generator().manual_seed(0))
    _, slopes = jacobians(likelihood, best[None], 0)
    steps = 1e-6 * torch.eye(3).double()
    numeric = [(likelihood.log_policy(best + h, 0) - likelihood.log_policy(best - h, 0)) / 2e-6 for h in steps]
    assert torch.allclose(slopes[0], torch.stack(numeric, -1), rtol=1e-5, atol=1e-4)
    rng, visits = np.random.default_rng(0), likelihood.counts[0].sum(-1)
    chance = likelihood.log_policy(best, 0).exp().numpy()
    drawn = rng.multinomial(visits.numpy().astype(int), chance / chance.sum(-1, keepdims=True), (300, STATES))
    counts = torch.as_tensor(drawn).double()
    points, value = climbed(likelihood, best.expand(300, -1), [counts])
    at_truth = (counts * likelihood.log_policy(best, 0)).sum((-1, -2))
    gain = float(2 * (value - at_truth).mean())
    assert abs(gain - 2) < 4 * 2 / np.sqrt(300)  # chi-square of the two dimensions of a direction
    bend = information(likelihood, best[None], [visits])[0]
    off = points - best
    form = torch.einsum("bi,ij,bj->b", off, bend, off)
    assert abs(float(form.mean()) - 2) < 4 * 2 / np.sqrt(300) + 0.3


def test_a_wide_inverse_temperature_takes_epsilon_for_noise_and_is_refused_nonetheless():
    seen, values = alice("epsilon-greedy", 1)
    assert goodness_of_fit(seen, values, RULE, spread=1.0, replicates=149).verdict == "failed"
