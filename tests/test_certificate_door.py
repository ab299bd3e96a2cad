"""What a certificate refuses at its door, and states that no policy reaches."""

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.certificates import Bob, Known, Observed, certify
from thalweg.values import Behaviour, Boltzmann, Linear

ACTIONS = 2
RNG = np.random.default_rng(0)
MOVES, START = RNG.dirichlet(np.ones(4), size=(4, ACTIONS)), np.full(4, 1 / 4)
REWARD, FEATURES = RNG.normal(size=(4, ACTIONS)), RNG.normal(size=(4, 2))
EVEN = np.full((4, ACTIONS), 1 / ACTIONS)


def walled(states=4):
    """A process with two states more, behind a wall: they lead here and to each other, nothing leads there."""
    moves = np.random.default_rng(3).dirichlet(np.ones(states), size=(states, ACTIONS))
    whole = np.zeros((states + 2, ACTIONS, states + 2))
    whole[:states, :, :states] = moves
    whole[states, :, states + 1] = 1
    whole[states + 1, 0, 0] = whole[states + 1, 1, states] = 1
    first = np.full(states, 1 / states)
    return tw.MDP(moves, first, 0.9), tw.MDP(whole, np.concatenate([first, [0, 0]]), 0.9)


def both(shape, seed=0):
    """The same numbers on the states of either process."""
    whole = np.random.default_rng(seed).normal(size=(6, *shape))
    return torch.as_tensor(whole[:4]), torch.as_tensor(whole)


def test_states_that_no_policy_reaches_do_not_matter():
    (part, whole), rewards, own, features = walled(), both((2,)), both((2,), 1), both((2,), 2)
    states, actions = torch.arange(80) % 4, (torch.arange(80) // 7) % 2
    known, seen = [], []
    for mdp, reward, other, feature in zip((part, whole), rewards, own, features, strict=True):
        policy = mdp.optimal(other).policy
        known.append(certify(Known(reward), Bob(policy, other, 0.1), mdp))
        alice = Observed(Behaviour((mdp,), states, actions), Linear(feature), Boltzmann(5.0))
        seen.append(certify(alice, Bob(policy), mdp))
    for one, other in (known, seen):
        assert other.issued
        assert one.bound == pytest.approx(other.bound, abs=1e-9)
        assert one.bound > 0.01
    assert known[0].lp == pytest.approx(known[1].lp, abs=2e-6)  # the dual stops at 1e-6


def test_choices_where_no_policy_leads_are_a_failed_assumption():
    _, whole = walled()
    states = torch.tensor([0, 1, 5, 2, 5, 4])
    policy, values = torch.full((6, 2), 0.5), Linear(both((2,))[1])
    alice = Observed(Behaviour((whole,), states, states % 2), values, Boltzmann(5.0))
    found = certify(alice, Bob(policy), whole)
    assert [a.words for a in found.failed] == [
        "3 choices in states that no policy reaches from the start: state 4, 5 of environment 0"
    ]
    assert found.to_dict()["bound"] is None
    put = tw.MDP(whole.transitions, np.full(6, 1 / 6), 0.9)  # where she was put there, the start says so
    alice = Observed(Behaviour((put,), states, states % 2), values, Boltzmann(5.0))
    assert certify(alice, Bob(policy), whole).issued


def test_values_that_live_where_no_policy_leads_are_named():
    _, whole = walled()
    policy, there = torch.full((6, 2), 0.5), torch.eye(6, dtype=torch.float64)[4]
    told = "differs only in states that no policy reaches, state 4"
    with pytest.raises(tw.InputError, match=f"range of Alice's reward is 0.*{told}"):
        certify(Known(there), Bob(policy), whole)
    with pytest.raises(tw.InputError, match=f"range of Bob's reward is 0.*{told}"):
        certify(Known(both(())[1]), Bob(reward=there, suboptimality=0.1), whole)
    behaviour = Behaviour((whole,), torch.arange(20) % 4, torch.arange(20) % 2)
    features = torch.stack([both(())[1], there], 1)
    with pytest.raises(tw.InputError, match=f"feature 1.*{told}"):
        certify(Observed(behaviour, Linear(features), Boltzmann(5.0)), Bob(policy), whole)
    level = tw.MDP(np.full((6, 2, 6), 1 / 6), np.full(6, 1 / 6), 0.9)
    with pytest.raises(tw.InputError, match="no choice of action changes it"):
        certify(Known(there), Bob(policy), level)
    with pytest.raises(tw.InputError, match="the same everywhere"):
        certify(Known(torch.ones(6)), Bob(policy), whole)


@pytest.mark.parametrize(
    ("alice", "bob", "told"),
    [
        (REWARD[:3], {"policy": EVEN}, "Alice's reward: reward has shape"),
        ("much", {"policy": EVEN}, "Alice's reward: reward is no array of numbers"),
        (REWARD, {"policy": "optimal"}, "Bob's policy"),
        (REWARD, {"policy": EVEN, "reward": REWARD[:, :1]}, "Bob's reward: reward has shape"),
        (REWARD, {"policy": EVEN, "suboptimality": 0.1}, "in units of his reward"),
        (REWARD, {"reward": REWARD, "suboptimality": float("nan")}, "suboptimality"),
        (REWARD, {"reward": REWARD, "suboptimality": -1.0}, "suboptimality"),
        (REWARD, {"policy": EVEN, "reward": REWARD, "suboptimality": float("nan")}, "suboptimality"),
    ],
)
def test_wrong_input_from_python_is_one_line_too(alice, bob, told):
    with pytest.raises(tw.InputError, match=told) as error:
        certify(Known(alice), Bob(**bob), tw.MDP(MOVES, START, 0.9))
    assert "\n" not in str(error.value)


def test_lists_and_arrays_are_policies_and_rewards_too():
    mdp = tw.MDP(MOVES, START, 0.9)
    found = certify(Known(REWARD.tolist()), Bob(EVEN.tolist(), REWARD.tolist()), mdp, safe=EVEN)
    same = certify(
        Known(torch.as_tensor(REWARD)), Bob(torch.as_tensor(EVEN), REWARD), mdp, safe=torch.as_tensor(EVEN)
    )
    assert (found.bound, found.lp, found.beside_safe) == (same.bound, same.lp, same.beside_safe)
    values, behaviour = Linear(FEATURES), Behaviour((mdp,), torch.arange(40) % 4, torch.arange(40) % 2)
    for lost in (float("nan"), -1.0, float("inf")):
        with pytest.raises(tw.InputError, match="suboptimality"):
            certify(Observed(behaviour, values, Boltzmann(2.0)), Bob(EVEN, REWARD, lost), mdp)
    with pytest.raises(tw.InputError, match="do not fit a process of 6 states"):  # seen here, deployed elsewhere
        certify(Observed(behaviour, values, Boltzmann(2.0)), Bob(torch.full((6, 2), 0.5)), walled()[1])
