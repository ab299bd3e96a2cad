"""Bounds of values, ranges and regrets: against exact rationals, and where single numbers were once wrong."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

import rationals
import thalweg as tw
from exact import Process
from thalweg.certificates import Bob, KnownReward, certify
from thalweg.mdp import _value_bounds as bracket
from thalweg.mdp import planning
from thalweg.mdp.valuation import Interval, Valuation, valuation

STAY = torch.tensor([[1.0, 0, 0]] * 3, dtype=torch.float64)


def detour(discount, constant=0.0, far=None):
    """0 stays, or goes over 2 and back, which gains a little each time, or to 1 for ever, which costs."""
    gained = 0.9e-12 * constant / (1 - discount) or 0.09
    cost, states = 4.4 * gained / (1 - discount), 3 + (far is not None)
    moves = np.zeros((states, 3, states))
    moves[0, 0, 0] = moves[0, 1, 2] = moves[0, 2, 1] = 1
    moves[1, :, 1] = moves[2, :, 0] = moves[3:, :, -1] = 1
    reward = np.full((states, 3), constant)
    reward[0, 1:] -= 1, cost
    reward[2] += (1 + gained) / discount
    reward[3:] = far or 0.0
    return moves, np.eye(states)[0], reward


def drawn(seed, discount, states=5, actions=3):
    """A process with rare steps, and a reward of which much is a constant."""
    rng = np.random.default_rng(seed)
    moves = rng.random((states, actions, states)) ** 8
    moves[:, :, 0] *= 1e-9
    reward = rng.normal(size=(states, actions)) + 1e4 * rng.normal()
    reward[0] *= 1e6
    return moves / moves.sum(-1, keepdims=True), np.full(states, 1 / states), reward


@pytest.mark.parametrize(
    ("discount", "constant", "far"),
    [
        (0.999999, 1.0, None),
        (0.99, 1e6, None),
        (0.9, 1e6, None),
        (0.99, 0.0, -1e9),
        (0.9, 0.0, -1e10),
        (0.9, 0.0, 1e99),
    ],
)
def test_constants_and_states_that_nobody_reaches_hide_no_regret(discount, constant, far):
    moves, start, reward = detour(discount, constant, far)
    mdp, stay = tw.MDP(moves, start, discount), torch.eye(3, dtype=torch.float64)[[0] * len(start)]
    process = Process.of(moves, start, discount)
    gain = process.gain(reward)
    truth = (process.best(gain) - process.returns(process.policy(stay), gain)) / process.span(gain)
    found = certify(KnownReward(reward), Bob(policy=stay, reward=reward), mdp)
    assert truth > 0.1
    for name in ("exact", "lp", "t1"):
        assert truth <= Fraction(getattr(found, name)) <= truth + Fraction(found.slacks[name])
        assert found.slacks[name] < 1e-4
    assert tw.return_range(mdp, reward) == float(mdp.return_range(reward))
    assert float(mdp.return_range(reward)) == pytest.approx(float(process.span(gain)), rel=1e-4)


@pytest.mark.parametrize("direct", [True, False])
def test_both_ways_of_planning_enclose_the_truth(direct, monkeypatch):
    if not direct:
        monkeypatch.setattr(planning, "FEW", 0)
        monkeypatch.setattr(planning, "MOST", 0)
    for seed in range(60):
        moves, start, reward = drawn(seed, 0.9)
        process, mdp = Process.of(moves, start, 0.9), tw.MDP(moves, start, 0.9)
        gain, even = process.gain(reward), np.full((5, 3), 1 / 3)
        known = valuation(mdp, reward)
        assert known.best.direct == direct
        unit = Fraction(known.reward.unit)
        for found, right in (
            (known.range, process.span(gain)),
            (known.regret(even), process.best(gain) - process.returns(process.policy(even), gain)),
        ):
            assert Fraction(found.low) * unit <= right <= Fraction(found.high) * unit
            assert found.width <= 1e-5 * known.range.low


def test_multiples_of_a_reward_are_read_in_units_of_their_own():
    moves, start, reward = drawn(0, 0.9)
    mdp = tw.MDP(moves, start, 0.9)
    one, two = (valuation(mdp, factor * reward) for factor in (1.0, 2.0**40))
    assert two.reward.unit == 2.0**40 * one.reward.unit  # and all else is the same
    assert two.range == one.range
    assert valuation(mdp, reward) is one


def rare(seed):
    """Steps of chances down to 1e-30 between states of which each is paid for how rare it is."""
    rng = np.random.default_rng(seed)
    chance = 10.0 ** -rng.choice([0, 6, 12, 15, 30], 6)
    moves = rng.dirichlet(np.full(6, 0.4), (6, 2)) * chance
    home = np.where(rng.random((6, 2)) < 0.5, np.arange(6)[:, None], 0)
    moves[np.arange(6)[:, None], np.arange(2), home] += 1 - moves.sum(-1)
    return moves / moves.sum(-1, keepdims=True), rng.random(6) / chance


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.999])
def test_values_of_rare_states_keep_their_digits(discount):
    lost = []
    for seed in range(20):
        moves, paid = rare(seed)
        even = moves.mean(1)
        system = [[Fraction(int(s == t)) - Fraction(discount) * Fraction(x) for t, x in enumerate(row)]
                  for s, row in enumerate(even.tolist())]  # fmt: skip
        right = rationals.solved(system, [Fraction(x) for x in paid])
        for given in (moves, [sparse.csr_matrix(moves[:, a]) for a in range(2)]):
            found = tw.MDP(given, np.eye(6)[0], discount).evaluate(torch.full((6, 2), 0.5), paid)
            for got, x in zip(found.tolist(), right, strict=True):
                assert abs(Fraction(got) - x) <= 1e-12 / (1 - discount) * x
        plain = np.linalg.solve(np.eye(6) - discount * even, paid)
        lost.append(max(abs(float(Fraction(got) / x - 1)) for got, x in zip(plain.tolist(), right, strict=True)))
    assert discount == 0.5 or max(lost) > 1e-6  # negative control: rows that change places


def test_without_the_doubt_they_do_not(monkeypatch):  # negative control
    monkeypatch.setattr(bracket, "_doubt", lambda mdp, gain, value: torch.zeros_like(gain))
    wrong = 0
    for seed in range(60):
        moves, start, reward = drawn(seed, 0.99)
        process, mdp = Process.of(moves, start, 0.99), tw.MDP(moves, start, 0.99)
        read = valuation(mdp, reward).reward
        found = bracket.best(mdp, read.gain, 0.0)
        best = process.best(process.gain(reward)) - Fraction(read.level) / (1 - Fraction(0.99))
        low, high = ((found.value - found.below) @ mdp.start, (found.value + found.above) @ mdp.start)
        wrong += not Fraction(float(low)) <= best / Fraction(read.unit) <= Fraction(float(high))
    assert wrong > 10


def test_rows_are_divided_by_their_sums():
    thirds = np.full((3, 2, 3), 1 / 3, np.float32)
    for given in (thirds, torch.as_tensor(thirds), [sparse.csr_matrix(thirds[:, a]) for a in range(2)]):
        mdp = tw.MDP(given, [1, 0, 0], 0.9)
        rows = mdp.sparse.toarray() if mdp.transitions is None else mdp.transitions.reshape(6, 3).numpy()
        np.testing.assert_allclose(rows.sum(1), 1, atol=3e-16)
        assert mdp.rounding > 2.0**-25  # what single precision leaves open
    mdp = tw.MDP([[[1.0, 1 - 0.9 - 0.1]], [[0.0, 1.0]]], [1, 0], 0.9)  # a subtraction left -3e-17
    assert mdp.transitions.tolist() == [[[1.0, 0.0]], [[0.0, 1.0]]]
    for off, told in ((1e-4, "0.9999"), (1e-8, "1 - 1e-08")):
        with pytest.raises(tw.InputError, match=f"transitions at 0, 0 sums to {told}: make"):
            tw.MDP(np.array([[[1 - off]]]), [1.0], 0.9)
    with pytest.raises(tw.InputError, match="no probability"):
        tw.MDP([[[1 + 1e-12, -1e-12]], [[0.0, 1.0]]], [1, 0], 0.9)


def test_no_policy_beats_the_best():
    rng = np.random.default_rng(0)
    mdp, reward = tw.MDP(rng.dirichlet(np.ones(5), (5, 3)), np.ones(5) / 5, 0.9999), rng.normal(size=5) + 100
    best = mdp.optimal(reward).policy
    for policy in (best, best * (1 + 9e-6), best.to(torch.float32)):
        assert abs(float(mdp.regret(policy, reward, normalised=True))) < 1e-9


def test_single_precision_is_certified_for_all_that_rounds_to_it():
    rng = np.random.default_rng(1)
    moves, reward = rng.dirichlet(np.ones(4), (4, 2)), rng.normal(size=(4, 2)) + 3
    policy = rng.dirichlet(np.ones(2), 4)
    whole = certify(KnownReward(reward), Bob(policy), tw.MDP(moves, np.full(4, 0.25), 0.9))
    single = [x.astype(np.float32) for x in (moves, reward, policy)]
    found = certify(KnownReward(single[1]), Bob(single[2]), tw.MDP(single[0], np.full(4, 0.25), 0.9))
    assert abs(found.exact - whole.exact) <= found.slack
    assert 1e-7 < found.slack < 1e-4
    assert "rounding" in found.summary
    assert whole.slack < 1e-12
    assert "rounding" not in whole.summary


def test_whole_numbers_that_float64_rounds_are_not_exact():
    """9007199254740995 becomes ..996 in float64: the middle arm was the best one, its regret of a quarter was 0."""
    large, bandit, bob = np.array([[2**53, 2**53 + 3, 2**53 + 4]]), np.ones((1, 3, 1)), Bob(np.array([[0, 1.0, 0]]))
    with pytest.raises(tw.InputError, match="return range of Alice's reward is 0 up to rounding"):
        certify(KnownReward(large), bob, tw.MDP(bandit, [1.0], 0.0))
    assert certify(KnownReward(large - 2**53), bob, tw.MDP(bandit, [1.0], 0.0)).exact == pytest.approx(
        0.25
    )  # control


@pytest.mark.parametrize("thin", [False, True])
def test_long_chains_are_planned_to_their_end(thin):
    """Policy iteration comes one state nearer a round: at 90 it was stopped, its range 138 times too small."""
    states, rare = 200, 0.01
    moves = np.zeros((states, 2, states))
    moves[:, 1, 0] = 1
    moves[range(states), 0, range(states)] = 1 - rare
    moves[range(states), 0, [*range(1, states), states - 1]] += rare
    reward = np.zeros((states, 2))
    reward[:, 1], reward[-1] = 1e-3, 1
    each = [sparse.csr_matrix(moves[:, a]) for a in (0, 1)] if thin else moves
    mdp, ahead, back = tw.MDP(each, np.eye(states)[0], 0.9999), *(np.tile(x, (states, 1)) for x in np.eye(2))
    best, held = (float(mdp.returns(torch.tensor(x), reward)) for x in (ahead, back))
    assert best > 100 * held
    assert float(mdp.optimal(reward).value @ mdp.start) == pytest.approx(best)
    assert best - held <= float(mdp.return_range(reward)) <= best
    found = certify(KnownReward(reward), Bob(back), mdp)
    assert found.exact == pytest.approx((best - held) / float(mdp.return_range(reward)))
    assert found.slack < 1e-6


def test_discounts_near_one_end():
    rng = np.random.default_rng(0)
    for discount in (0.9999, 0.999999):
        mdp = tw.MDP(np.eye(3)[rng.integers(0, 3, (3, 2))], np.ones(3) / 3, discount)
        alice = rng.normal(size=(3, 2))
        bob = alice + 0.3 * rng.normal(size=(3, 2))
        allowed = 0.02 * float(mdp.return_range(bob))
        found = {m: tw.worst_regret(mdp, alice, bob, allowed, method=m) for m in ("dual", "programme")}
        assert max(f.lower for f in found.values()) <= min(f.value for f in found.values()) + 1e-12
        assert found["dual"].gap < 1e-6


def test_planning_that_would_take_hours_says_so():
    states = 100_000
    step = sparse.csr_matrix((np.ones(states), (np.arange(states), (np.arange(states) + 1) % states)))
    mdp = tw.MDP([step, sparse.identity(states, format="csr")], np.eye(1, states)[0], 0.9999999)
    with pytest.raises(
        tw.InputError,
        match=r"planning for 100,000 states at discount 1 takes at least .* hours \(limit 30 min\): lower",
    ):
        _ = valuation(mdp, np.arange(states) % 7).range


def test_sides_are_rounded_outward():
    third, ten = Interval(1.0, 1.0).over(Interval(3.0, 3.0)), Interval(0.1, 0.1)
    assert Fraction(third.low) < Fraction(1, 3) < Fraction(third.high)
    total = Interval(0.0, 0.0)
    for _ in range(10):
        total = total.plus(ten)
    assert Fraction(total.low) < 10 * Fraction(0.1) < Fraction(total.high)
    assert Fraction(ten.minus(Interval(0.3, 0.3)).high) > Fraction(0.1) - Fraction(0.3)


def test_a_valuation_is_read_once(monkeypatch):
    mdp = tw.MDP(*detour(0.9)[:2], 0.9)
    reward, solved = detour(0.9)[2], []
    monkeypatch.setattr(Valuation, "plan", lambda self, *a, own=Valuation.plan: solved.append(1) or own(self, *a))
    first = certify(KnownReward(reward), Bob(policy=STAY, reward=reward), mdp)
    assert certify(KnownReward(reward), Bob(policy=STAY, reward=reward), mdp) == first
    assert valuation(mdp, reward) is valuation(mdp, reward.copy())
    assert valuation(mdp, reward) is not valuation(mdp, 2.0 * reward + 0.1)
