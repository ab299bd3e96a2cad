"""Planning with bounds, against rational arithmetic and policy iteration."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

import thalweg as tw
from thalweg.mdp import follow, plan, planning


def process(seed, states=6, actions=3, discount=0.9):
    rng = np.random.default_rng(seed)
    moves = rng.random((states, actions, states)) ** 4
    moves /= moves.sum(-1, keepdims=True)
    return tw.MDP(moves, np.full(states, 1 / states), discount), moves, rng.normal(size=(states, actions))


def rational(mdp, moves, reward):
    """V* in fractions of the very floats: of two actions in two states all four policies are solved."""
    g, best = Fraction(mdp.discount), [None, None]
    for a, b in itertools.product(range(2), repeat=2):
        (p, q), (r, s) = [[Fraction(x) for x in moves[i, c]] for i, c in enumerate((a, b))]
        x, y = Fraction(reward[0, a]), Fraction(reward[1, b])
        det = (1 - g * p) * (1 - g * s) - g * q * g * r
        value = ((x * (1 - g * s) + g * q * y) / det, ((1 - g * p) * y + g * r * x) / det)
        best = [v if w is None else max(v, w) for v, w in zip(value, best, strict=True)]
    return best


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_whatever_stopped_it(seed, rounds):
    mdp, _, reward = process(seed)
    warm = None if seed % 2 else 10 * np.random.default_rng(seed).normal(size=6)
    truth = mdp.optimal(reward).value.numpy()
    found = plan(mdp, reward, rounds=rounds, tolerance=0.0, warm=warm)
    own = mdp.evaluate(torch.nn.functional.one_hot(torch.as_tensor(found.policy), 3).double(), reward).numpy()
    assert (found.value + found.low <= own + 1e-13).all()
    assert (own <= truth + 1e-13).all()
    assert (truth <= found.value + found.high + 1e-13).all()
    low, high = found.returns(mdp.start.numpy())
    assert low <= truth.mean() <= high
    if rounds == 1000:
        assert high - low < 1e-11


def test_a_fifth_of_the_bounds_would_not_hold():  # negative control
    wrong = 0
    for seed in range(20):
        mdp, _, reward = process(seed)
        found, truth = plan(mdp, reward, rounds=1), mdp.optimal(reward).value.numpy()
        wrong += not ((found.value + found.low / 5 <= truth) & (truth <= found.value + found.high / 5)).all()
    assert wrong > 5


def test_bounds_hold_to_the_last_digit(monkeypatch):
    def violations():
        wrong = 0
        for seed in range(100):
            mdp, moves, reward = process(seed, states=2, actions=2, discount=0.99)
            moves[0, 0] *= 1 - 4e-10 * (seed % 2)  # what a process allows
            mdp = tw.MDP(moves, mdp.start, mdp.discount)
            found = plan(mdp, reward, tolerance=0.0)
            low, high = Fraction(found.low), Fraction(found.high)
            for got, exact in zip(found.value, rational(mdp, moves, reward), strict=True):
                wrong += not Fraction(got) + low <= exact <= Fraction(got) + high
        return wrong

    assert violations() == 0
    honest = planning._Edges.__call__

    def careless(self, value, best):
        low, high, rounding = honest(self, value, best)
        off = self.error * (self.reward + np.abs(value).max()) / self.least
        return low + off, high - off, rounding

    monkeypatch.setattr(planning._Edges, "__call__", careless)
    assert violations() > 0  # negative control: without the allowance for rounding


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99, 0.999])
def test_it_agrees_with_policy_iteration_dense_and_sparse(discount):
    for seed in range(5):
        mdp, moves, reward = process(seed, states=30, discount=discount)
        thin = tw.MDP([sparse.csr_matrix(moves[:, a]) for a in range(3)], mdp.start, discount)
        best = mdp.optimal(reward)
        for one in (mdp, thin):
            found = plan(one, reward, tolerance=1e-12)
            np.testing.assert_allclose(found.value, best.value, atol=1e-11 / (1 - discount))
            np.testing.assert_array_equal(found.policy, best.policy.argmax(-1))
            rounding = 4 * 40 * planning.EPS * (np.abs(reward).max() + np.abs(best.value.numpy()).max())
            assert found.high - found.low <= 1.01 * (1e-12 * np.ptp(reward) + rounding) / (1 - discount)
            held = follow(one, found.policy, reward, tolerance=1e-12)
            mixed = follow(one, best.policy.numpy(), reward, tolerance=1e-12)
            np.testing.assert_allclose(held.value, best.value, atol=1e-11 / (1 - discount))
            np.testing.assert_allclose(mixed.value, best.value, atol=1e-11 / (1 - discount))


def test_a_warm_start_is_where_it_begins():
    mdp, _, reward = process(0)
    found = plan(mdp, reward, tolerance=1e-12)
    again = plan(mdp, reward, tolerance=1e-9, warm=found.value, rounds=1)
    np.testing.assert_allclose(again.value, found.value, rtol=1e-14)
    assert again.high - again.low <= 1e-9 * np.ptp(reward) / 0.1
    cold = plan(mdp, reward, tolerance=1e-9, rounds=1)
    assert cold.high - cold.low > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": -1.0}, "tolerance and rounds"),
        ({"rounds": 0}, "tolerance and rounds"),
        ({"warm": np.zeros(5)}, "warm start has shape"),
        ({"warm": np.full(6, np.nan)}, "finite"),
        ({"reward": np.zeros((2, 6, 3))}, "one reward at a time"),
        ({"reward": np.full(6, 1e305)}, "overflow"),
    ],
)
def test_wrong_input_is_refused(change, message):
    mdp, _, reward = process(0)
    with pytest.raises(tw.InputError, match=message):
        plan(mdp, **{"reward": reward, **change})
    with pytest.raises(tw.InputError, match="policy has shape"):
        follow(mdp, np.zeros(5, dtype=np.int64), reward)
