"""Several rewards in contexts of history, and values without a reward."""

import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.optimize import linprog

import rationals
import thalweg as tw
from thalweg.irl import (
    Behaviour,
    Boltzmann,
    Contexts,
    Likelihood,
    Linear,
    Soft,
    bounded_density_regret,
    by_context,
    density_regret,
    implied_reward,
    prefers,
    probability_bounds,
    smc,
    worst_context,
)
from thalweg.mdp import _linear_programmes as programmes
from thalweg.mdp import contextual_minimax_regret, flow, planning
from thalweg.mdp import minimax_regret as floors


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
    floor = contextual_minimax_regret(mdp, several)
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
    floor = contextual_minimax_regret(mdp, [reward, -7 * reward])  # a scale is no reason to count more
    assert abs(floor.value - 0.5) < 1e-8
    assert torch.allclose(floor.duals, torch.full((2,), 0.5).double(), atol=1e-8)
    undivided = torch.tensor([1.0, 7.0]).double()  # without the division by rho the duals would not sum to 1
    assert abs(float((floor.duals / undivided).sum()) - 1) > 0.1


def test_floor_of_one_reward_is_nothing_and_its_duals_are_no_certificate():
    mdp = world(2)
    assert abs(contextual_minimax_regret(mdp, rewards(2, 1, mdp)).value) < 1e-9
    several = rewards(5, 3, mdp)
    floor = contextual_minimax_regret(mdp, several)
    of_the_reward = worst_context(mdp, several, mdp.optimal(floor.reward).policy)[0]
    assert of_the_reward > floor.value + 0.05  # another optimum of the supporting reward loses more than t*


def test_a_context_without_a_range_is_named():
    mdp = world(3)
    with pytest.raises(tw.InputError, match="reward 1"):
        contextual_minimax_regret(mdp, [*rewards(3, 1, mdp), torch.ones(4)])
    with pytest.raises(tw.InputError, match="give one policy"):
        worst_context(mdp, rewards(3, 1, mdp), torch.full((2, 4, 2), 0.5))


def test_preference_is_partial():
    mdp = world(4)
    reward, other = rewards(4, 2, mdp)
    best, worst = mdp.optimal(reward).policy, mdp.worst(reward).policy
    assert prefers(mdp, [reward], best, worst)
    assert not prefers(mdp, [reward], worst, best)
    assert not prefers(mdp, [reward, -reward], best, worst)
    assert not prefers(mdp, [reward, -reward], worst, best)
    assert not prefers(mdp, [reward, other], best, best)


# --- rare steps --------------------------------------------------------------------------------------------------


def rare_loss(chance, steps=1):
    """Action 0 leads with a small chance towards where all is lost, by one reward; by the other it is the best."""
    states = steps + 2
    moves = np.zeros((states, 2, states))
    moves[:, :, 0] = 1
    for s in range(steps):
        moves[s, : 1 if s == 0 else 2] = chance * np.eye(states)[s + 1] + (1 - chance) * np.eye(states)[0]
    moves[steps], moves[-1] = np.eye(states)[steps], np.eye(states)[-1]
    one, two = np.zeros((2, states, 2))
    one[0, 0] = two[0, 0] = 1
    one[steps] = -(chance ** -float(steps))
    return moves, np.eye(states)[0], [one, two]


def proven(floor, truth, within=1e-8):
    assert floor.lower <= truth <= floor.upper
    assert floor.value == floor.lower
    assert 0 <= floor.gap <= within
    assert floor.reasons == ()


def as_it_stands(mdp, several, points):
    """The programme without units of its own, with returns as they are: t*, as HiGHS has it."""
    high, low = ([float(f(p[k] for p in points)) for k in range(len(several))] for f in (max, min))
    unit = np.stack([r / (a - b) for r, a, b in zip(several, high, low, strict=True)])
    best = [a / (a - b) for a, b in zip(high, low, strict=True)]
    size = mdp.states * mdp.actions
    return linprog(
        np.append(np.zeros(size), 1.0),
        A_ub=np.hstack([-unit.reshape(len(unit), -1), -np.ones((len(unit), 1))]),
        b_ub=-np.array(best),
        A_eq=sparse.hstack([flow(mdp), sparse.csr_matrix((mdp.states, 1))]),
        b_eq=mdp.start.numpy(),
    ).fun


@pytest.mark.parametrize("chance", [1e-6, 1e-9, 1e-10, 1e-12, 1e-15, 1e-30, 1e-100])
def test_a_rare_step_to_where_all_is_lost_counts(chance):
    moves, start, several = rare_loss(chance)
    mdp = tw.MDP(moves, start, 0.9)
    floor = contextual_minimax_regret(mdp, several)
    proven(floor, 0.5, 1e-10)
    assert worst_context(mdp, several, floor.policy)[0] == pytest.approx(0.5, abs=1e-10)
    safe = torch.tensor([[0.0, 1.0]]).double().expand(3, 2)
    assert worst_context(mdp, several, safe) == (pytest.approx(1), 1)
    if 1e-20 < chance < 1e-8:  # negative control
        assert as_it_stands(mdp, several, rationals.returns(moves, start, 0.9, several)) < 0.1


@pytest.mark.parametrize(("chance", "steps"), [(1e-6, 2), (1e-30, 2), (1e-20, 4)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("discount", [0.5, 0.999])
def test_a_rare_step_behind_rare_steps_too_of_loss_or_gain(chance, steps, sign, discount):
    moves, start, (one, two) = rare_loss(chance, steps)
    one[steps] *= -100 * sign
    several = [one, two if sign < 0 else -two]
    truth = rationals.floor(rationals.returns(moves, start, discount, several))
    assert truth > 0.05
    for given in (moves, [sparse.csr_matrix(moves[:, a]) for a in range(2)]):
        proven(contextual_minimax_regret(tw.MDP(given, start, discount), several), truth)


@pytest.mark.parametrize("sweeps_only", [False, True])
def test_a_rare_step_counts_among_many_states(monkeypatch, sweeps_only):
    """Sweeps know values to a share of the largest reward, direct solves each to its own size."""
    moves, start, several = rare_loss(1e-15)
    size = len(moves) + 70
    whole = np.zeros((size, 2, size))
    whole[3:] = np.eye(size)[3:, None]
    whole[:3, :, :3] = moves
    first = np.append(start / 2, np.full(70, 1 / 140))
    rewards = [np.concatenate([r, np.full((70, 2), 3.0)]) for r in several]
    mdp = tw.MDP([sparse.csr_matrix(whole[:, a]) for a in range(2)], first, 0.6)
    if sweeps_only:  # negative control
        monkeypatch.setattr(planning, "MOST", 0)
        with pytest.raises(tw.InputError, match="return range of reward 0 is 0 up to rounding"):
            contextual_minimax_regret(mdp, rewards)
    else:
        proven(contextual_minimax_regret(mdp, rewards), 0.5)


def test_digits_that_the_input_leaves_open_are_in_the_gap():
    moves, start, several = rare_loss(1e-3)
    moved = [r + 1e4 for r in several]
    policy, floors_of = torch.full((3, 2), 0.5).double(), {}
    for kind in (np.float64, np.float32):
        given = [r.astype(kind) for r in moved]
        mdp = tw.MDP(moves.astype(kind), start, 0.9)
        floor = floors_of[kind] = contextual_minimax_regret(mdp, given)
        assert floor.lower <= 0.5 <= floor.upper
        most = worst_context(mdp, given, policy.to(torch.float32))[0]
        truth = worst_context(tw.MDP(moves, start, 0.9), several, policy)[0]
        assert truth - 1e-12 <= most <= truth + 2 * floor.gap + 1e-6
        assert not prefers(mdp, given, floor.policy, floor.policy)
    assert floors_of[np.float64].gap < 1e-9
    assert floors_of[np.float32].gap > 1e-6  # a constant of 1e4 in single precision
    assert "is known to" in floors_of[np.float32].reasons[0]


@pytest.mark.parametrize("seed", range(16))
def test_floor_is_the_value_of_the_game_of_all_policies_in_rationals(seed):
    moves, start, discount, several = rationals.rare(seed)
    given = moves if seed % 4 < 2 else [sparse.csr_matrix(moves[:, a]) for a in range(moves.shape[1])]
    truth = rationals.floor(rationals.returns(moves, start, discount, several))
    plain = contextual_minimax_regret(tw.MDP(given, start, discount), several)
    proven(plain, truth)
    for changed in ([1e-12 * several[0], 1e12 * several[1]], [several[1], 1e200 * several[0], several[1]]):
        proven(contextual_minimax_regret(tw.MDP(given, start, discount), changed), truth)


def test_constants_unreachable_states_and_duplicates_change_nothing():
    mdp, several = world(7), rewards(7, 2, world(7))
    truth = contextual_minimax_regret(mdp, several)
    moved = [r + 1e6 * k * float(mdp.return_range(r)) for k, r in zip((1, -1), several, strict=True)]
    proven(truth, truth.value)
    assert truth.value > 0.01
    assert contextual_minimax_regret(mdp, moved).value == pytest.approx(
        truth.value, abs=1e-8
    )  # what is left of the digits
    more = torch.zeros(6, 3, 6).double()  # a state twice, one that nobody reaches, an action twice
    more[:4, :2, :4] = mdp.transitions
    more[:4, :2, 4] = more[:4, :2, 0] / 2
    more[:4, :2, 0] /= 2
    more[4], more[5, :, 5] = more[0], 1
    more[:, 2] = more[:, 1]
    start = torch.cat([mdp.start, torch.zeros(2).double()])
    longer = [torch.cat([r, r[:1], torch.full((1, 2), 1e9).double()])[:, [0, 1, 1]] for r in several]
    for order in (torch.arange(6), torch.tensor([5, 3, 1, 4, 0, 2])):
        same = tw.MDP(more[order][:, :, order], start[order], mdp.discount)
        assert contextual_minimax_regret(same, [r[order] for r in longer]).value == pytest.approx(
            truth.value, abs=1e-10
        )
    assert contextual_minimax_regret(same, [r[order] for r in longer] * 2).value == pytest.approx(
        truth.value, abs=1e-10
    )
    longer[0][4] += 1  # negative control
    assert abs(contextual_minimax_regret(tw.MDP(more, start, mdp.discount), longer).value - truth.value) > 1e-4


def test_steps_that_are_tried_until_they_are_made_are_in_the_units_of_the_flow():
    """200 states, each left with chance 1e-12 and then only ahead: flows of 1e30 were no programme to HiGHS."""
    states, rare = 200, 1e-12
    moves = np.zeros((states, 2, states))
    moves[:, 1, 0] = 1
    moves[range(states), 0, range(states)] = 1 - rare
    moves[range(states), 0, [*range(1, states), states - 1]] += rare
    one = np.zeros((states, 2))
    one[:, 1] = 1
    found = contextual_minimax_regret(tw.MDP(moves, np.eye(states)[0], 0.9), [one, -one])
    assert found.lower == pytest.approx(0.5)
    assert found.gap < 1e-6


@pytest.mark.parametrize("count", [1, 2, 5])
def test_floor_of_as_many_contexts_as_rare_steps(count):
    chances = 10.0 ** -(3.0 ** np.arange(count))  # one reward each for the state that one action alone leads to
    moves = np.zeros((count + 1, count + 1, count + 1))
    moves[0, :count, 1:], moves[0, :, 0] = np.diag(chances), np.append(1 - chances, 1)
    moves[1:] = np.eye(count + 1)[1:, None]
    mdp = tw.MDP(moves, np.eye(count + 1)[0], 0.0 if count == 1 else 0.9)
    several = [np.eye(count + 1)[k + 1] * chances[k] ** -1 for k in range(count)]
    if count == 1:
        with pytest.raises(tw.InputError, match="return range of reward 0"):
            contextual_minimax_regret(mdp, several)  # at discount 0 nobody comes there
        mdp = tw.MDP(moves, np.eye(2)[0], 0.9)
    floor = contextual_minimax_regret(mdp, several)
    assert floor.gap < 1e-9
    odds = [float(mdp.returns(floor.policy, r) / mdp.return_range(r)) for r in several]
    assert floor.value == pytest.approx(1 - min(odds), abs=1e-6)
    assert (count == 1) == (floor.value < 0.1)


def test_a_floor_that_is_not_known_says_so(monkeypatch):
    """Three actions in a rare state: one for each reward, and one for none."""
    chance, start = 1e-12, np.eye(2)[0]
    moves = np.zeros((2, 3, 2))
    moves[0], moves[1, :, 1] = [1 - chance, chance], 1
    several = [np.array([[0, 0, 0], row]) / chance for row in ([1, 0, 0], [0, 1, 0])]
    mdp = tw.MDP(moves, start, 0.9)
    monkeypatch.setattr(floors, "CUTS", 1)
    proven(contextual_minimax_regret(mdp, several), 0.5)
    unscaled = programmes.Scaled(np.zeros(2), flow(mdp), start)
    monkeypatch.setattr(floors, "scaled", lambda rows, policies: unscaled)  # HiGHS alone: nobody comes there
    found = contextual_minimax_regret(mdp, several)
    assert found.lower <= 0.5 < 0.6 < found.upper
    assert "is known to" in found.reasons[0]
    monkeypatch.setattr(floors, "CUTS", 40)
    proven(contextual_minimax_regret(mdp, several), 0.5)  # cuts make up for it


# --- contexts of history -----------------------------------------------------------------------------------------


def two_shards(count=1500):
    """Alice's reward changes each time that she chooses action 1 in state 0."""
    mdp, choice_model = world(6), Boltzmann(15.0)
    values = Linear(torch.as_tensor(np.random.default_rng(8).normal(size=(4, 2))))
    thetas = torch.tensor([[0.3, -0.7], [-0.6, 0.4]]).double()
    following = torch.tensor([0, 1]).reshape(2, 1, 1).expand(2, 4, 2).clone()
    following[:, 0, 1] = torch.tensor([1, 0])
    machine = Contexts(following)
    laws = choice_model.log_policy(mdp, values.reward(thetas, 2)).exp()
    rng, context, record = np.random.default_rng(0), 0, []
    for _ in range(count):
        state = int(rng.integers(4))
        action = int(rng.random() > float(laws[context, state, 0]))
        record.append((state, action, context))
        context = int(following[context, state, action])
    states, actions, contexts = torch.tensor(record).T
    return Behaviour((mdp,), states, actions), machine, contexts, values, choice_model, thetas


def test_contexts_are_read_from_history_and_each_has_its_reward():
    seen, machine, contexts, values, choice_model, thetas = two_shards()
    assert torch.equal(machine.read(seen), contexts)
    parts = by_context(seen, machine.read(seen), values, choice_model, count=2)
    joint = sum(float(part(theta)) for part, theta in zip(parts, thetas, strict=True))
    single = Likelihood.of(seen, values, choice_model)
    t = (torch.arange(500).double() + 0.5) / 500
    points = torch.cat([torch.stack([a * t, b * (1 - t)], -1) for a in (1, -1) for b in (1, -1)])
    assert joint > float(single(points).max()) + 50  # no one reward explains both: values that are no utility
    for part, theta in zip(parts, thetas, strict=True):
        mean, covariance = smc(part, particles=300).moments()
        assert ((mean - theta).abs() < 4 * covariance.diagonal().sqrt() + 1e-3).all()
        assert float(covariance.diagonal().max()) < 0.01


def test_wrong_contexts_are_named():
    seen, machine, _, values, choice_model, _ = two_shards(20)
    with pytest.raises(tw.InputError, match="20 choices"):
        by_context(seen, torch.zeros(3, dtype=torch.int64), values, choice_model, count=2)
    with pytest.raises(tw.InputError, match="context 1 of 1"):
        by_context(seen, torch.ones(20, dtype=torch.int64), values, choice_model, count=1)
    three = by_context(seen, machine.read(seen), values, choice_model, count=3)
    assert [part.choices for part in three] == [20, 0, 0]  # contexts that were never visited
    with pytest.raises(tw.InputError, match="that there is not"):
        Contexts(machine.following + 1)


# --- without a reward --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice_model", [Boltzmann(3.0, relative=False), Boltzmann(12.0), Soft(0.4)])
@pytest.mark.parametrize("seed", range(4))
def test_regret_from_the_density_is_the_regret_by_the_reward(choice_model, seed):
    mdp = world(seed, states=5, actions=3)
    reward = rewards(seed, 1, mdp)[0]
    logs = choice_model.log_policy(mdp, reward)
    policy = random_policy(seed + 9, mdp)
    share = float(mdp.regret(policy, reward, normalised=True))
    assert abs(density_regret(mdp, choice_model, logs, policy) - share) < 1e-10
    span = tw.return_range(mdp, reward)
    plain = share if isinstance(choice_model, Boltzmann) and choice_model.relative else share * span
    assert abs(density_regret(mdp, choice_model, logs, policy, normalised=False) - plain) < 1e-9
    assert tw.reward_distance(mdp, reward, implied_reward(choice_model, logs)) < 1e-9
    elsewhere = tw.MDP(mdp.transitions, mdp.start, 0.5)
    wrong = density_regret(elsewhere, choice_model, logs, policy)  # she planned with another discount
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
    choice_model, excess = Boltzmann(4.0), []
    for seed in range(20):
        mdp = world(seed)
        reward = rewards(seed, 1, mdp)[0]
        logs = choice_model.log_policy(mdp, reward)
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
