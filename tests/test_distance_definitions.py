"""STARC, range-STARC, EPIC and DARD against their definitions, written anew: policies and shapings by brute force."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sparse

import thalweg as tw
from thalweg.mdp import KINDS, regret_bound


def process(seed, states, actions, discount, alone=0, thin=False):
    """Transitions with zeros; the last `alone` states are never entered."""
    rng = np.random.default_rng(seed)
    moves = rng.random((states, actions, states)) ** 2 * (rng.random((states, actions, states)) < 0.7)
    moves[..., 0] += 0.05
    if alone:
        moves[..., -alone:] = 0
    moves /= moves.sum(-1, keepdims=True)
    start = np.where(np.arange(states) < 2, 0.5, 0.0)
    given = [sparse.csr_matrix(moves[:, a]) for a in range(actions)] if thin else moves
    return tw.MDP(given, start, discount), moves, start, discount


CASES = {
    "dense": process(0, 4, 2, 0.9),
    "unreachable": process(1, 4, 2, 0.8, alone=1),
    "sparse": process(2, 3, 3, 0.95, thin=True),
    "sparse, unreachable": process(3, 4, 2, 0.9, alone=2, thin=True),
    "discount 0": process(4, 4, 3, 0.0),
    "discount .999": process(5, 3, 2, 0.999),
}
SHAPES = {"of the state": (0,), "of the action": (0, 1), "of the step": (0, 1, 2)}


IDLE = ("discount 0", "of the state")  # what a state pays before anything is chosen, no policy changes
SETTINGS = [pytest.param(c, s, id=f"{c}, {s}") for c in CASES for s in SHAPES if (c, s) != IDLE]


def pair(case, shape, seed=0):
    """Two rewards, and what each pays for a step, (S, A, S)."""
    moves = CASES[case][1]
    size = tuple(moves.shape[axis] for axis in SHAPES[shape])
    both = np.random.default_rng(seed).normal(size=(2, *size))
    return both, [np.broadcast_to(r.reshape(*size, *[1] * (3 - len(size))), moves.shape) for r in both]


def occupancies(case):
    """(policies, S, A) of every deterministic policy, by the sum of its discounted visits."""
    _, moves, start, discount = CASES[case]
    states, actions = moves.shape[:2]
    found = []
    for chosen in itertools.product(range(actions), repeat=states):
        rows = moves[np.arange(states), list(chosen)]
        visits = np.linalg.solve(np.eye(states) - discount * rows.T, start)
        found.append(visits[:, None] * np.eye(actions)[list(chosen)])
    return np.array(found)


def in_parallel(visits, reward):
    returns = np.einsum("psa,sa->p", visits, reward)
    return returns.max() - returns.min()


def mean(case, whole):
    return (CASES[case][1] * whole).sum(-1)


@pytest.mark.parametrize(("case", "shape"), SETTINGS)
def test_range_distance_and_the_regret_that_it_bounds_are_those_of_all_policies(case, shape):
    mdp, visits = CASES[case][0], occupancies(case)
    (r1, r2), whole = pair(case, shape)
    one, two = (mean(case, w) / in_parallel(visits, mean(case, w)) for w in whole)
    exact = in_parallel(visits, one - two)
    assert tw.reward_distance(mdp, r1, r2) == pytest.approx(exact, abs=1e-8)
    assert tw.return_range(mdp, r1) == pytest.approx(in_parallel(visits, mean(case, whole[0])), rel=1e-8)
    a, b = (np.einsum("psa,sa->p", visits, r) for r in (one, two))
    lost = max(a[i] - a[j] for i, j in itertools.product(range(len(a)), repeat=2) if b[j] >= b[i])
    for kind in ("range", "starc", "starc-l2"):
        assert lost <= regret_bound(mdp, r1, r2, kind) + 1e-9
    swapped = in_parallel(
        visits, mean(case, whole[0]) - mean(case, whole[1])
    )  # of rewards that were not made alike in size
    assert abs(swapped - exact) > 1e-3


def seen(case):
    """States that some policy visits, by following it."""
    _, moves, start, discount = CASES[case]
    found = set(np.flatnonzero(start))
    while discount > 0:
        more = found | {int(t) for s in found for t in np.flatnonzero(moves[s].sum(0))}
        if more == found:
            break
        found = more
    return sorted(found)


def levelled(case, whole):
    """E[R + discount V(S')] - V, V of uniform choice, of the states that are visited."""
    _, moves, _, discount = CASES[case]
    gain = mean(case, whole)
    value = np.linalg.solve(np.eye(len(moves)) - discount * moves.mean(1), gain.mean(1))
    return (gain + discount * moves @ value - value[:, None])[seen(case)]


def least(case, whole):
    """The mean reward that is left when the potential that takes most of it is taken, of the visited states."""
    _, moves, _, discount = CASES[case]
    keep = seen(case)
    columns = np.stack([(discount * moves[..., t] - (np.arange(len(moves)) == t)[:, None])[keep] for t in keep], -1)
    flat, target = columns.reshape(-1, len(keep)), mean(case, whole)[keep]
    return target - (flat @ np.linalg.lstsq(flat, target.reshape(-1), rcond=None)[0]).reshape(target.shape)


@pytest.mark.parametrize(("case", "shape"), SETTINGS)
@pytest.mark.parametrize(("kind", "form"), [("starc", levelled), ("starc-l2", least)])
def test_starc_is_the_distance_of_canonical_forms_of_length_one(kind, form, case, shape):
    (r1, r2), whole = pair(case, shape)
    units = [c / np.linalg.norm(c) for c in (form(case, w) for w in whole)]
    exact = np.linalg.norm(units[0] - units[1])
    assert tw.reward_distance(CASES[case][0], r1, r2, kind) == pytest.approx(exact, abs=1e-7)
    raw = [mean(case, w)[seen(case)] for w in whole]  # negative control: no canonical form
    apart = np.linalg.norm(raw[0] / np.linalg.norm(raw[0]) - raw[1] / np.linalg.norm(raw[1]))
    assert abs(apart - exact) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_the_least_form_is_below_every_shaping_and_redistribution(case):
    """No potential, and no redistribution over next states, makes a smaller reward of the same preferences."""
    _, moves, _, discount = CASES[case]
    (_, (whole, _)), rng, keep = pair(case, "of the step"), np.random.default_rng(1), seen(case)
    found = least(case, whole)
    for size in (10.0, 1.0, 0.1, 1e-3):
        for _ in range(50):
            height, noise = size * rng.normal(size=len(moves)), size * rng.normal(size=moves.shape)
            height[[s for s in range(len(moves)) if s not in keep]] = 0
            noise -= (moves * noise).sum(-1, keepdims=True)
            other = whole + discount * height - height[:, None, None] + noise
            assert np.linalg.norm(mean(case, other)[keep]) >= np.linalg.norm(found) - 1e-12
            np.testing.assert_allclose(least(case, other), found, atol=1e-9)
    assert np.linalg.norm(mean(case, whole)[keep]) > np.linalg.norm(found) + 1e-3  # it was not the least before


def pearson(case, whole, kind, states, actions):
    """Half the deviation of standardised canonical rewards, each expectation a loop."""
    _, moves, _, g = CASES[case]
    size, count = range(len(moves)), range(moves.shape[1])
    forms = []
    for r in whole:
        form = np.empty(moves.shape)
        for s, b, t in itertools.product(size, count, size):
            mean_here = mean_there = mean_after = 0.0
            for a, u in itertools.product(count, size):
                if kind == "epic":
                    mean_there += actions[a] * states[u] * r[t, a, u]
                    mean_here += actions[a] * states[u] * r[s, a, u]
                    mean_after += actions[a] * states[u] * sum(states[v] * r[v, a, u] for v in size)
                else:
                    mean_there += actions[a] * moves[t, a, u] * r[t, a, u]
                    mean_here += actions[a] * moves[s, a, u] * r[s, a, u]
                    mean_after += actions[a] * moves[s, a, u] * sum(moves[t, a, v] * r[u, a, v] for v in size)
            form[s, b, t] = r[s, b, t] + g * mean_there - mean_here - g * mean_after
        forms.append(form.reshape(-1))
    after = np.broadcast_to(states, moves.shape) if kind == "epic" else moves
    weight = (states[:, None, None] * actions[:, None] * after).reshape(-1)
    off = [f - weight @ f for f in forms]
    overlap = weight @ (off[0] * off[1]) / np.sqrt((weight @ off[0] ** 2) * (weight @ off[1] ** 2))
    return np.sqrt((1 - overlap) / 2)


@pytest.mark.parametrize(("case", "shape"), SETTINGS)
@pytest.mark.parametrize("kind", ["epic", "dard"])
def test_epic_and_dard_are_correlations_of_canonical_rewards(kind, case, shape):
    mdp, moves, *_ = CASES[case]
    (r1, r2), whole = pair(case, shape)
    rng = np.random.default_rng(2)
    states, actions = rng.dirichlet(np.ones(len(moves))), rng.dirichlet(np.ones(moves.shape[1]))
    exact = pearson(case, whole, kind, states, actions)
    assert tw.reward_distance(mdp, r1, r2, kind, states=states, actions=actions) == pytest.approx(exact, abs=1e-8)
    other = pearson(case, whole, "dard" if kind == "epic" else "epic", states, actions)
    plain = np.sqrt((1 - np.corrcoef(whole[0].reshape(-1), whole[1].reshape(-1))[0, 1]) / 2)
    assert max(abs(other - exact), abs(plain - exact)) > 1e-3  # negative control: the other form, or none


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_that_no_policy_changes_are_at_distance_0_from_each_other_and_1_from_others(kind):
    case, shape = IDLE
    mdp, ((r1, r2), _), ((real, _), _) = CASES[case][0], pair(case, shape), pair(case, "of the action")
    assert tw.reward_distance(mdp, r1, r2, kind) == 0
    assert tw.reward_distance(mdp, r1, real, kind) == pytest.approx(0.5 if kind in ("epic", "dard") else 1.0)
