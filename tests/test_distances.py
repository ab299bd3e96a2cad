"""Distances of rewards: their laws one by one, brute force on small processes, the regret they bound."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.linalg import null_space
from scipy.optimize import linprog

import thalweg as tw
from thalweg.mdp import KINDS, dard_canonical, epic_canonical, flow, levelled, project, regret_bound, visited

STARC = ("range", "starc", "starc-l2")
PEARSON = ("epic", "dard")


def random_process(seed, states=5, actions=3, discount=0.9, unreachable=0):
    """Transitions with zeros; the last states, if any are asked for, lead to the others and are never entered."""
    rng = np.random.default_rng(seed)
    moves = rng.random((states, actions, states)) ** 3
    moves[moves < 0.05 * moves.max(-1, keepdims=True)] = 0
    start = rng.random(states)
    if unreachable:
        moves[..., -unreachable:] = 0
        start[-unreachable:] = 0
    return tw.MDP(moves / moves.sum(-1, keepdims=True), start / start.sum(), discount)


def rewards(seed, mdp, count):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(count, mdp.states, mdp.actions, mdp.states)))


def shaped(mdp, reward, seed):
    potential = 10 * torch.as_tensor(np.random.default_rng(seed).normal(size=mdp.states))
    return reward + mdp.discount * potential - potential[:, None, None]


def redistributed(mdp, reward, seed):
    """Noise of mean 0 under the transitions, and anything at all where they are impossible."""
    noise = torch.as_tensor(np.random.default_rng(seed).normal(size=reward.shape))
    return reward + noise - (mdp.transitions * noise).sum(-1, keepdim=True)


def elsewhere(mdp, reward, seed):
    noise = torch.as_tensor(np.random.default_rng(seed).normal(size=reward.shape))
    return reward + noise * ~mdp.reachable[:, None, None]


SAME = {  # law -> what changes a reward into one that the distance must not tell from it, and for which kinds
    "scale": (lambda m, r, s: 3.7 * r, KINDS),
    "constant": (lambda m, r, s: r + 5.0, KINDS),
    "shaping": (shaped, KINDS),
    "redistribution": (redistributed, STARC),
    "unreachable states": (elsewhere, STARC),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("law", SAME)
def test_what_changes_no_preference_changes_no_distance(kind, law):
    change, kinds = SAME[law]
    for seed in range(5):
        mdp = random_process(seed, unreachable=1)
        r1, r2 = rewards(seed, mdp, 2)
        moved = tw.reward_distance(mdp, r1, change(mdp, r1, seed + 50), kind)
        same = tw.reward_distance(mdp, change(mdp, r1, seed + 50), r2, kind)
        if kind in kinds:
            assert moved < 1e-10
            assert same == pytest.approx(tw.reward_distance(mdp, r1, r2, kind), abs=1e-10)
        else:  # the law does not hold of this kind
            assert moved > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_pseudometric(kind):
    largest = 2.0 if kind in STARC else 1.0
    for seed in range(10):
        mdp = random_process(seed)
        r1, r2, r3 = rewards(seed, mdp, 3)
        far = tw.reward_distance(mdp, r1, r2, kind)
        assert far == pytest.approx(tw.reward_distance(mdp, r2, r1, kind), abs=1e-12)
        assert 0.05 < far <= largest
        around = tw.reward_distance(mdp, r1, r3, kind) + tw.reward_distance(mdp, r3, r2, kind)
        assert far <= around + 1e-12
        assert tw.reward_distance(mdp, r1, -r1, kind) == pytest.approx(largest, abs=1e-10)
        mix = tw.reward_distance(mdp, r1, r1 + 0.01 * r2, kind)
        assert 1e-4 < mix < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_zero_exactly_where_all_policies_are_ranked_alike(kind):
    mdp = random_process(3)
    r1, r2 = rewards(3, mdp, 2)
    alike = redistributed(mdp, shaped(mdp, 2 * r1, 1), 2)
    policies = torch.softmax(torch.as_tensor(np.random.default_rng(0).normal(size=(50, 5, 3))), -1)
    order = [mdp.returns(policies, r).argsort() for r in (r1, alike, r2)]
    assert torch.equal(order[0], order[1])
    assert not torch.equal(order[0], order[2])
    assert (tw.reward_distance(mdp, r1, alike, kind) < 1e-10) == (kind in STARC)
    assert tw.reward_distance(mdp, r1, r2, kind) > 0.05


def every_policy(mdp):
    choices = torch.tensor(list(itertools.product(range(mdp.actions), repeat=mdp.states)))
    return torch.nn.functional.one_hot(choices, mdp.actions).double()


def brute_range(visits, reward):
    returns = (visits * reward).sum((-1, -2))
    return returns.max() - returns.min()


@pytest.mark.parametrize("seed", range(10))
def test_range_distance_is_that_of_all_deterministic_policies(seed):
    mdp = random_process(seed, states=4)
    visits = mdp.occupancy(every_policy(mdp))
    r1, r2 = (mdp.mean_reward(r) for r in rewards(seed, mdp, 2))
    rho1, rho2 = brute_range(visits, r1), brute_range(visits, r2)
    assert tw.return_range(mdp, r1) == pytest.approx(float(rho1), abs=1e-10)
    exact = float(brute_range(visits, r1 / rho1 - r2 / rho2))
    assert tw.reward_distance(mdp, r1, r2) == pytest.approx(exact, abs=1e-10)
    assert abs(exact - float(brute_range(visits, r1 - r2))) > 1e-3  # not that of rewards as they are


def worst_loss(mdp, r1, r2):
    """max J1(pi1) - J1(pi2) over J2(pi2) >= J2(pi1), by two occupancies."""
    f = flow(mdp)
    a, b = (mdp.mean_reward(r).reshape(-1).numpy() for r in (r1, r2))
    solved = linprog(
        np.concatenate([-a, a]),
        A_ub=np.concatenate([b, -b])[None],
        b_ub=[0],
        A_eq=sparse.block_diag([f, f]),
        b_eq=np.tile(mdp.start.numpy(), 2),
        method="highs",
    )
    assert solved.status == 0
    return -solved.fun


def test_regret_lies_between_half_the_range_distance_and_the_whole():
    shares, loose = [], 0
    for seed in range(40):
        mdp = random_process(seed, states=4, discount=0.8)
        r1, r2 = rewards(seed, mdp, 2)
        if seed % 2:
            r2 = r1 + 0.3 * r2
        psi = worst_loss(mdp, r1, r2) / tw.return_range(mdp, r1)
        far = tw.reward_distance(mdp, r1, r2)
        assert 0.5 * far - 1e-8 <= psi <= far + 1e-8
        shares.append(psi / far)
        for kind in ("starc", "starc-l2"):
            bound = regret_bound(mdp, r1, r2, kind)
            assert psi <= bound + 1e-8
            loose += bound > 1
    assert min(shares) < 0.8  # a constant L above it, or U below 0.95, would be violated
    assert max(shares) > 0.95
    assert loose > 40  # of 80: the norms promise nothing


def test_both_constants_are_attained():
    bandit = tw.MDP(np.ones((1, 4, 1)), [1.0], 0.0)
    r1, r2 = np.array([[0.0, 0.2, 1.0, 0.8]]), np.array([[0.0, 0.0, 1.0, 1.0]])
    assert worst_loss(bandit, r1, r2) == pytest.approx(0.2, abs=1e-12)
    assert tw.reward_distance(bandit, r1, r2) == pytest.approx(0.4, abs=1e-12)
    assert tw.reward_distance(bandit, r1.tolist(), r2.tolist()) == pytest.approx(0.4, abs=1e-12)  # not in float32
    assert worst_loss(bandit, r1, np.zeros((1, 4))) == pytest.approx(1.0)
    assert regret_bound(bandit, r1, np.zeros((1, 4))) == 1.0


def triple_sums(mdp, reward, states, actions, moves=None):
    """EPIC's definition term by term, or DARD's where transitions are given."""
    out, size, g = reward.clone(), range(mdp.states), mdp.discount
    for s, b, t in itertools.product(size, range(mdp.actions), size):
        for a in range(mdp.actions):
            if moves is None:
                for u, v in itertools.product(size, size):
                    chance = actions[a] * states[u] * states[v]
                    out[s, b, t] += chance * (g * reward[t, a, v] - reward[s, a, v] - g * reward[u, a, v])
            else:
                for u, v in itertools.product(size, size):
                    chance = actions[a] * moves[s, a, u] * moves[t, a, v]
                    out[s, b, t] += chance * (g * reward[t, a, v] - reward[s, a, u] - g * reward[u, a, v])
    return out


@pytest.mark.parametrize("given", [False, True])
def test_epic_and_dard_are_their_definitions(given):
    mdp = random_process(0, states=4, actions=2)
    r1, r2 = rewards(0, mdp, 2)
    states, actions = (
        torch.tensor(x, dtype=torch.float64)
        for x in (([0.1, 0.2, 0.3, 0.4], [0.3, 0.7]) if given else ([0.25] * 4, [0.5] * 2))
    )
    named = {"states": states, "actions": actions} if given else {}
    product = states[:, None, None] * actions[:, None] * states
    following = states[:, None, None] * actions[:, None] * mdp.transitions
    for kind, form, moves, cover in (
        ("epic", epic_canonical, None, product),
        ("dard", dard_canonical, mdp.transitions, following),
    ):
        c1, c2 = (triple_sums(mdp, r, states, actions, moves) for r in (r1, r2))
        torch.testing.assert_close(form(mdp, r1, **named), c1, atol=1e-12, rtol=0)
        table = np.cov(np.stack([c1.reshape(-1), c2.reshape(-1)]), aweights=cover.reshape(-1).numpy(), ddof=0)
        exact = np.sqrt((1 - table[0, 1] / np.sqrt(table[0, 0] * table[1, 1])) / 2)
        assert tw.reward_distance(mdp, r1, r2, kind, **named) == pytest.approx(exact, abs=1e-10)
        other = {"states": [0.97, 0.01, 0.01, 0.01]}
        assert abs(tw.reward_distance(mdp, r1, r2, kind, **other) - exact) > 1e-3


def shaping_columns(mdp):
    """Each potential as a reward (S, A, S), as columns."""
    eye = torch.eye(mdp.states, dtype=torch.float64)
    return torch.stack([(mdp.discount * e - e[:, None, None]).expand(mdp.states, mdp.actions, -1) for e in eye])


@pytest.mark.parametrize("certain", [True, False])
def test_the_minimal_reward_is_that_of_least_squares_over_whole_steps(certain):
    mdp = random_process(1, states=4)
    if certain:
        sure = torch.nn.functional.one_hot(mdp.transitions.argmax(-1), 4).double()
        mdp = tw.MDP(sure, mdp.start, 0.9)
    reward = rewards(1, mdp, 1)[0]
    rows = torch.block_diag(*mdp.transitions.reshape(-1, 1, 4))
    idle = torch.as_tensor(null_space(rows.numpy()))  # redistributions
    span = torch.cat([shaping_columns(mdp).reshape(4, -1).T, idle], 1)
    weight = mdp.transitions.reshape(-1, 1).clamp(min=1e-300).sqrt()  # of the norm; impossible steps are free
    fit = np.linalg.lstsq((weight * span).numpy(), (weight[:, 0] * reward.reshape(-1)).numpy(), rcond=1e-12)[0]
    least = (reward.reshape(-1) - span @ torch.as_tensor(fit)).reshape(reward.shape)
    torch.testing.assert_close(mdp.mean_reward(least), project(mdp, reward), atol=1e-9, rtol=0)
    plain = np.linalg.lstsq(span.numpy(), reward.reshape(-1).numpy(), rcond=1e-12)[0]
    other = mdp.mean_reward((reward.reshape(-1) - span @ torch.as_tensor(plain)).reshape(reward.shape))
    assert bool((other - project(mdp, reward)).abs().max() < 1e-9) == certain  # unweighted: alike only then
    root = mdp.transitions.square().sum(-1).reshape(-1, 1) ** -0.5  # of q^2 / sum tau^2
    columns = -torch.as_tensor(flow(mdp).T.toarray())
    mean = mdp.mean_reward(reward).reshape(-1, 1)
    fit = torch.linalg.lstsq(root * columns, root * mean).solution
    torch.testing.assert_close(other, (mean - columns @ fit).reshape(other.shape), atol=1e-9, rtol=0)


def test_canonical_forms_keep_every_return_but_for_the_start():
    for seed in range(5):
        mdp = random_process(seed, unreachable=1)
        policies = torch.softmax(torch.as_tensor(np.random.default_rng(0).normal(size=(20, 5, 3))), -1)
        r1, r2 = rewards(seed, mdp, 2)
        for form in (levelled, project):
            moved = mdp.returns(policies, r1) - mdp.returns(policies, form(mdp, r1))
            assert float(moved.std()) < 1e-12
            both = form(mdp, 2 * mdp.mean_reward(r1) - 3 * mdp.mean_reward(r2))
            torch.testing.assert_close(both, 2 * form(mdp, r1) - 3 * form(mdp, r2), atol=1e-12, rtol=0)
            again = form(mdp, form(mdp, r1))
            torch.testing.assert_close(again, form(mdp, r1), atol=1e-12, rtol=0)
        assert project(mdp, r1)[:4].norm() < levelled(mdp, r1)[:4].norm() - 1e-3


@pytest.mark.parametrize("discount", [0.9, 0.0])
def test_the_hull_of_occupancies(discount):
    mdp = random_process(2, states=6, unreachable=2, discount=discount)
    if discount == 0:
        mdp = tw.MDP(mdp.transitions, [0.5, 0.5, 0, 0, 0, 0], 0.0)
    seen = 4 if discount else 2
    assert len(visited(mdp).states) == seen
    visits = mdp.occupancy(every_policy(mdp)).reshape(-1, 18)
    np.testing.assert_allclose(
        flow(mdp) @ visits.numpy().T, np.repeat(mdp.start.numpy()[:, None], 729, 1), atol=1e-12
    )
    away = visits - visits[0]
    assert int(torch.linalg.matrix_rank(away, rtol=1e-10)) == seen * 2
    states, part = visited(mdp)
    full = np.linalg.qr(flow(part).T.toarray(), mode="complete")[0][:, part.states :]
    basis = torch.zeros(6, 3, full.shape[1], dtype=torch.float64)
    basis[states] = torch.as_tensor(full).reshape(part.states, 3, -1)
    basis = basis.reshape(-1, full.shape[1])
    torch.testing.assert_close(basis.T @ basis, torch.eye(seen * 2, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(away @ basis @ basis.T, away, atol=1e-10, rtol=0)
    reward = mdp.mean_reward(rewards(2, mdp, 1)[0])
    torch.testing.assert_close(
        (basis @ (basis.T @ reward.reshape(-1))).reshape(6, 3), project(mdp, reward), atol=1e-12, rtol=0
    )
    noise = torch.as_tensor(np.random.default_rng(0).normal(size=18))
    assert (basis @ (basis.T @ noise) - noise).norm() > 0.1  # no hull of everything


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_processes_shapes_and_batches(kind):
    mdp = random_process(4, unreachable=1)
    thin = tw.MDP([sparse.csr_matrix(mdp.transitions[:, a].numpy()) for a in range(3)], mdp.start, 0.9)
    whole = rewards(4, mdp, 2)[0]
    of_state = torch.arange(5.0)
    batch = torch.as_tensor(np.random.default_rng(4).normal(size=(6, 5, 3)))
    for first in (whole, of_state, batch[0]):
        far = tw.reward_distance(mdp, first, batch[1], kind)
        assert tw.reward_distance(thin, first, batch[1], kind) == pytest.approx(far, abs=1e-10)
        np.testing.assert_allclose(
            tw.reward_distance(mdp, batch, first, kind),
            [tw.reward_distance(mdp, one, first, kind) for one in batch],
            atol=1e-12,
        )
    assert tw.reward_distance(mdp, of_state, of_state[:, None].expand(5, 3), kind) == 0
    after = of_state.expand(5, 3, 5)  # R(s') is R(s) / discount but for a potential
    assert tw.reward_distance(mdp, of_state, after, kind) < 1e-10
    assert tw.reward_distance(mdp, of_state, of_state[:3].expand(5, 3), kind) > 0.05  # of the action is another


@pytest.mark.parametrize("kind", KINDS)
def test_a_reward_that_nothing_can_change_is_zero(kind):
    far = 1.0 if kind in STARC else 0.5
    for seed, discount in enumerate((0.0, 0.9, 0.999)):
        mdp = random_process(seed, discount=discount)
        reward = rewards(seed, mdp, 1)[0]
        for idle in (torch.zeros(5), torch.full((5, 3), 1e7 / 3), shaped(mdp, 0 * reward, seed)):
            assert tw.return_range(mdp, idle) == 0
            assert tw.reward_distance(mdp, reward, idle, kind) == pytest.approx(far, abs=1e-9)
            assert tw.reward_distance(mdp, idle, 0 * idle, kind) == 0
        small = shaped(mdp, 1e-6 * reward, seed)  # small beside its potential, and not 0
        assert tw.return_range(mdp, small) == pytest.approx(1e-6 * tw.return_range(mdp, reward), rel=1e-4)
        tiny = 1e-200 * reward  # smallness alone is no rounding
        assert tw.reward_distance(mdp, reward, tiny, "range") < 1e-10


def test_bad_input_is_named():
    mdp = random_process(0)
    good = torch.arange(5.0)
    for kind in KINDS:
        with pytest.raises(tw.InputError, match=r"reward has shape \(4,\)"):
            tw.reward_distance(mdp, good, torch.ones(4), kind)
        with pytest.raises(tw.InputError, match="NaN"):
            tw.reward_distance(mdp, good, good / 0 * 0, kind)
    with pytest.raises(tw.InputError, match="kind = 'l2'"):
        tw.reward_distance(mdp, good, good, "l2")
    with pytest.raises(tw.InputError, match="states of shape"):
        tw.reward_distance(mdp, good, good, "epic", states=[0.5, 0.5])
    with pytest.raises(tw.InputError, match="actions of shape"):
        tw.reward_distance(mdp, good, good, "dard", actions=[0.5, 0.5, 0.5])
    with pytest.raises(tw.InputError, match="has no distribution"):
        tw.reward_distance(mdp, good, good, states=[0.2] * 5)
    with pytest.raises(tw.InputError, match="bounds no regret"):
        regret_bound(mdp, good, good, "epic")
    with pytest.raises(tw.InputError, match="range of r1 is 0"):
        regret_bound(mdp, torch.ones(5), good)
    with pytest.raises(tw.InputError, match="batch"):
        regret_bound(mdp, torch.ones(2, 5, 3), good)
    big = tw.MDP([sparse.identity(6000)] * 2, np.eye(6000)[0], 0.9)
    with pytest.raises(tw.InputError, match="range'"):
        tw.reward_distance(big, torch.ones(6000), torch.ones(6000), "epic")
