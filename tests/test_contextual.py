"""Several rewards in contexts of history, and values without a reward."""

import itertools
import math

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.values import (
    Behaviour,
    Boltzmann,
    Contexts,
    Likelihood,
    Linear,
    Soft,
    bounded_density_regret,
    by_context,
    contextual_floor,
    density_regret,
    implied_reward,
    prefers,
    probability_bounds,
    smc,
    worst_context,
)


def world(seed=0, states=4, actions=2, discount=0.9):
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    return tw.MDP(moves, np.full(states, 1 / states), discount)


def rewards(seed, count, mdp):
    return list(torch.as_tensor(np.random.default_rng(seed).normal(size=(count, mdp.states, mdp.actions))))


def random_policy(seed, mdp):
    return torch.as_tensor(np.random.default_rng(seed).dirichlet(np.ones(mdp.actions), size=mdp.states))


# --- the floor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_floor_lies_between_its_proven_bounds_and_below_every_policy(seed):
    mdp = world(seed, states=3 + seed % 3)
    several = rewards(seed, 3, mdp)
    floor = contextual_floor(mdp, several)
    assert abs(floor.upper - floor.lower) < 1e-8
    assert floor.lower - 1e-9 <= floor.value <= floor.upper + 1e-9
    assert abs(float(floor.duals.sum()) - 1) < 1e-9
    assert (floor.duals > -1e-12).all()
    for draw in range(50):
        assert worst_context(mdp, several, random_policy(draw, mdp))[0] >= floor.lower - 1e-9
    best = mdp.optimal(floor.reward).value @ mdp.start
    assert abs(float(best - mdp.returns(floor.policy, floor.reward))) < 1e-7  # the duals support it
    for choice in itertools.product(range(mdp.actions), repeat=mdp.states):
        sure = torch.nn.functional.one_hot(torch.tensor(choice), mdp.actions).double()
        assert worst_context(mdp, several, sure)[0] >= floor.lower - 1e-9


def test_floor_of_two_opposed_rewards_is_a_half():
    mdp = world(1)
    reward = rewards(1, 1, mdp)[0]
    floor = contextual_floor(mdp, [reward, -7 * reward])  # a scale is no reason to count more
    assert abs(floor.value - 0.5) < 1e-8
    assert torch.allclose(floor.duals, torch.full((2,), 0.5).double(), atol=1e-8)
    undivided = torch.tensor([1.0, 7.0]).double()  # without the division by rho the duals would not sum to 1
    assert abs(float((floor.duals / undivided).sum()) - 1) > 0.1


def test_floor_of_one_reward_is_nothing_and_its_duals_are_no_certificate():
    mdp = world(2)
    assert abs(contextual_floor(mdp, rewards(2, 1, mdp)).value) < 1e-9
    several = rewards(5, 3, mdp)
    floor = contextual_floor(mdp, several)
    of_the_reward = worst_context(mdp, several, mdp.optimal(floor.reward).policy)[0]
    assert of_the_reward > floor.value + 0.05  # another optimum of the supporting reward loses more than t*


def test_a_context_without_a_range_is_named():
    mdp = world(3)
    with pytest.raises(tw.InputError, match="reward 1"):
        contextual_floor(mdp, [*rewards(3, 1, mdp), torch.ones(4)])


def test_preference_is_partial():
    mdp = world(4)
    reward, other = rewards(4, 2, mdp)
    best, worst = mdp.optimal(reward).policy, mdp.worst(reward).policy
    assert prefers(mdp, [reward], best, worst)
    assert not prefers(mdp, [reward], worst, best)
    assert not prefers(mdp, [reward, -reward], best, worst)
    assert not prefers(mdp, [reward, -reward], worst, best)
    assert not prefers(mdp, [reward, other], best, best)


# --- contexts of history -----------------------------------------------------------------------------------------


def two_shards(count=1500):
    """Alice's reward changes each time that she chooses action 1 in state 0."""
    mdp, rule = world(6), Boltzmann(15.0)
    values = Linear(torch.as_tensor(np.random.default_rng(8).normal(size=(4, 2))))
    thetas = torch.tensor([[0.3, -0.7], [-0.6, 0.4]]).double()
    following = torch.tensor([0, 1]).reshape(2, 1, 1).expand(2, 4, 2).clone()
    following[:, 0, 1] = torch.tensor([1, 0])
    machine = Contexts(following)
    laws = rule.log_policy(mdp, values.reward(thetas, 2)).exp()
    rng, context, record = np.random.default_rng(0), 0, []
    for _ in range(count):
        state = int(rng.integers(4))
        action = int(rng.random() > float(laws[context, state, 0]))
        record.append((state, action, context))
        context = int(following[context, state, action])
    states, actions, contexts = torch.tensor(record).T
    return Behaviour((mdp,), states, actions), machine, contexts, values, rule, thetas


def test_contexts_are_read_from_history_and_each_has_its_reward():
    seen, machine, contexts, values, rule, thetas = two_shards()
    assert torch.equal(machine.read(seen), contexts)
    parts = by_context(seen, machine.read(seen), values, rule, count=2)
    joint = sum(float(part(theta)) for part, theta in zip(parts, thetas, strict=True))
    single = Likelihood.of(seen, values, rule)
    t = (torch.arange(500).double() + 0.5) / 500
    points = torch.cat([torch.stack([a * t, b * (1 - t)], -1) for a in (1, -1) for b in (1, -1)])
    assert joint > float(single(points).max()) + 50  # no one reward explains both: values that are no utility
    for part, theta in zip(parts, thetas, strict=True):
        mean, covariance = smc(part, particles=300).moments()
        assert ((mean - theta).abs() < 4 * covariance.diagonal().sqrt() + 1e-3).all()
        assert float(covariance.diagonal().max()) < 0.01


def test_wrong_contexts_are_named():
    seen, machine, _, values, rule, _ = two_shards(20)
    with pytest.raises(tw.InputError, match="20 choices"):
        by_context(seen, torch.zeros(3, dtype=torch.int64), values, rule, count=2)
    with pytest.raises(tw.InputError, match="context 1 of 1"):
        by_context(seen, torch.ones(20, dtype=torch.int64), values, rule, count=1)
    three = by_context(seen, machine.read(seen), values, rule, count=3)
    assert [part.choices for part in three] == [20, 0, 0]  # contexts that were never visited
    with pytest.raises(tw.InputError, match="that there is not"):
        Contexts(machine.following + 1)


# --- without a reward --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Boltzmann(3.0, relative=False), Boltzmann(12.0), Soft(0.4)])
@pytest.mark.parametrize("seed", range(4))
def test_regret_from_the_density_is_the_regret_by_the_reward(rule, seed):
    mdp = world(seed, states=5, actions=3)
    reward = rewards(seed, 1, mdp)[0]
    logs = rule.log_policy(mdp, reward)
    policy = random_policy(seed + 9, mdp)
    share = float(mdp.regret(policy, reward, normalised=True))
    assert abs(density_regret(mdp, rule, logs, policy) - share) < 1e-10
    span = tw.return_range(mdp, reward)
    plain = share if isinstance(rule, Boltzmann) and rule.relative else share * span
    assert abs(density_regret(mdp, rule, logs, policy, normalised=False) - plain) < 1e-9
    assert tw.reward_distance(mdp, reward, implied_reward(rule, logs)) < 1e-9
    elsewhere = tw.MDP(mdp.transitions, mdp.start, 0.5)
    wrong = density_regret(elsewhere, rule, logs, policy)  # she planned with another discount
    assert abs(wrong - float(elsewhere.regret(policy, reward, normalised=True))) > 1e-4


def test_probabilities_lie_in_their_bounds_also_where_visits_depend_on_choices():
    missed = {"anytime": 0, "fixed": 0}
    rng, runs, chance = np.random.default_rng(0), 400, 0.5
    for _ in range(runs):
        hits = rng.random(2000) < chance
        total, n = hits.cumsum(), np.arange(1, 2001)
        stop = int(np.argmax(np.abs(total[10:] - n[10:] * chance) / np.sqrt(n[10:]))) + 10  # when it looks worst
        counts = torch.tensor([[float(total[stop]), float(n[stop] - total[stop])]])
        for design in missed:
            low, high = probability_bounds(counts, 0.1, design)
            missed[design] += not bool((low <= chance).all() and (high >= chance).all())
    assert missed["anytime"] <= 0.1 * runs
    assert missed["fixed"] > 0.15 * runs  # Clopper and Pearson's fail there


def test_bound_from_counts_holds_and_tightens():
    rule, excess = Boltzmann(4.0), []
    for seed in range(20):
        mdp = world(seed)
        reward = rewards(seed, 1, mdp)[0]
        logs = rule.log_policy(mdp, reward)
        policy = 0.9 * mdp.optimal(reward).policy + 0.05
        share = float(mdp.regret(policy, reward, normalised=True))
        rng = np.random.default_rng(seed)
        for visits in (10_000, 1_000_000):
            counts = np.stack([rng.multinomial(visits, p / p.sum()) for p in logs.exp().numpy()])
            found = bounded_density_regret(mdp, counts, policy, 0.1)
            assert found.raw >= share
            excess.append(found.raw - share)
    few, many = np.array(excess).reshape(-1, 2).T
    assert np.median(many) < 0.05
    assert (many < few).all()


def test_where_counts_do_not_tell_there_is_a_reason():
    mdp, uniform = world(0), torch.full((4, 2), 0.5).double()
    counts = torch.full((4, 2), 500.0)
    counts[2] = 0
    unseen = bounded_density_regret(mdp, counts, uniform, 0.1)
    assert "state 2" in unseen.reasons[0]
    with pytest.raises(tw.UnhealthyError, match="never seen"):
        _ = unseen.value
    counts[2] = torch.tensor([400.0, 0.0])
    assert any("never chose action 1 in state 2" in reason for reason in
               bounded_density_regret(mdp, counts, uniform, 0.1).reasons)  # fmt: skip
    alike = bounded_density_regret(mdp, torch.full((4, 2), 500.0), uniform, 0.1)
    assert math.isinf(alike.raw)
    assert "significantly preferred" in alike.reasons[0]
    with pytest.raises(tw.InputError, match="sum to 1"):
        density_regret(mdp, Boltzmann(1.0), torch.zeros(4, 2), uniform)
