"""The held-out check of an action model; its size and power at length are in benchmarks/calibration_power.py."""

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.values import Behaviour, Boltzmann, Likelihood, Linear, Soft, calibrate, dimensions_tested
from thalweg.values.calibration import _holm
from thalweg.values.fitting import climbed, information, jacobians, most_likely

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
    return sum(calibrate(*alice(kind, seed), RULE, seed=seed, **settings).verdict == "failed" for seed in seeds)


def test_a_true_model_is_seldom_refused():
    assert refused("true", range(8), replicates=149) <= 2  # 3 or more in 8: 0.6 % at a size of 5 %


@pytest.mark.parametrize("kind", ["epsilon-greedy", "wrong dynamics"])
def test_a_wrong_model_is_refused(kind):
    assert refused(kind, range(4), replicates=149) >= 3


def test_an_unrestricted_reward_is_untestable():
    seen, _ = alice("epsilon-greedy", 0)
    wide = Linear(torch.eye(STATES * ACTIONS).double().reshape(STATES, ACTIONS, -1))
    found = calibrate(seen, wide, RULE)
    assert found.verdict == "untestable"
    assert found.p is None
    assert not found.passed
    assert "any choices" in found.reason
    for rule, class_ in ((Boltzmann(2.0, relative=False), 1.0), (Soft(0.3), 1.0)):
        assert calibrate(seen, Linear(wide.features, class_), rule).verdict == "untestable"


def test_dimensions_that_are_tested_are_counted():
    seen, values = alice("true", 0)
    assert dimensions_tested(Likelihood.of(seen, values, RULE)) == 20 - 3  # two of direction, and the sharpness
    assert dimensions_tested(Likelihood.of(seen.only(seen.states < 2), values, RULE)) == 4 - 3
    assert calibrate(seen.only(seen.states == 0), values, RULE).verdict == "untestable"


def test_few_choices_are_untestable_and_wrong_numbers_named():
    seen, values = alice("true", 0, 30)
    assert "held out" in calibrate(seen, values, RULE).reason
    with pytest.raises(tw.InputError, match="every 1"):
        calibrate(seen, values, RULE, every=1)
    with pytest.raises(tw.InputError, match="replicates 20"):
        calibrate(seen, values, RULE, replicates=20)


def test_the_check_is_the_same_each_time():
    one, two = (calibrate(*alice("true", 3), RULE, replicates=149, seed=5) for _ in range(2))
    assert one == two


def test_holm_by_hand():
    found = _holm([("a", 0.0, 0.01), ("b", 0.0, 0.04), ("c", 0.0, 0.03)])
    assert np.allclose([s.adjusted for s in found], [0.03, 0.06, 0.06])


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


def test_wide_sharpness_takes_epsilon_for_noise_and_is_refused_nonetheless():
    seen, values = alice("epsilon-greedy", 1)
    assert calibrate(seen, values, RULE, spread=1.0, replicates=149).verdict == "failed"
