"""Decision processes and level families against independent arithmetic; the coefficient of regret against theory."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from torch import nn

import thalweg as tw
from thalweg.envs import Played, keys_and_chests, lava_world
from thalweg.envs.corner import MOVES, Mouse, corner, proxy, reference_regrets, to_cheese, to_corner, uniform
from thalweg.irl import Linear
from thalweg.landscape import measure
from thalweg.rl import Ascent, Tabular, ascend, regret_landscape
from thalweg.rl.rollouts import rollout

TABLE = {  # alpha, discount: J*, regret of the uniform policy, of the one that walks to the corner
    (0.75, 0.97): (0.789, 0.696, 0.548),
    (0.5, 0.99): (0.917, 0.792, 0.422),
    (0.6, 0.98): (0.846, 0.742, 0.471),
    (0.7, 0.98): (0.851, 0.740, 0.550),
    (1.0, 0.98): (0.865, 0.735, 0.785),
    (0.1, 0.98): (0.823, 0.750, 0.079),
}


def random_process(seed, states=6, actions=3, discount=0.9):
    rng = np.random.default_rng(seed)
    moves = rng.random((states, actions, states)) ** 4
    start = rng.random(states)
    rewards = rng.normal(size=(states, actions))
    return moves / moves.sum(-1, keepdims=True), start / start.sum(), discount, rewards


def random_policies(seed, count, states, actions):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(torch.randn(count, states, actions, generator=generator, dtype=torch.float64), -1)


@pytest.mark.parametrize("seed", range(5))
def test_values_are_sums_of_discounted_rewards(seed):
    moves, start, discount, rewards = random_process(seed)
    mdp = tw.MDP(moves, start, discount)
    policy = random_policies(seed, 1, 6, 3)[0]
    value = np.zeros(6)
    for _ in range(2000):
        value = (policy.numpy() * (rewards + discount * moves @ value)).sum(1)
    np.testing.assert_allclose(mdp.evaluate(policy, rewards), value, atol=1e-12)
    assert float(mdp.returns(policy, rewards)) == pytest.approx(start @ value)
    visits = mdp.occupancy(policy)
    assert float(visits.sum()) == pytest.approx(1 / (1 - discount))
    assert float((visits * torch.as_tensor(rewards)).sum()) == pytest.approx(start @ value)


@pytest.mark.parametrize("seed", range(3))
def test_best_and_worst_are_those_of_all_deterministic_policies(seed):
    moves, start, discount, rewards = random_process(seed, states=4)
    mdp = tw.MDP(moves, start, discount)
    choices = torch.tensor(list(itertools.product(range(3), repeat=4)))
    every = mdp.returns(torch.nn.functional.one_hot(choices, 3).double(), rewards)
    assert float(mdp.optimal(rewards).value @ mdp.start) == pytest.approx(float(every.max()), abs=1e-12)
    assert float(mdp.worst(rewards).value @ mdp.start) == pytest.approx(float(every.min()), abs=1e-12)
    assert float(mdp.return_range(rewards)) == pytest.approx(float(every.max() - every.min()), abs=1e-12)
    shares = mdp.regret(random_policies(seed, 20, 4, 3), rewards, normalised=True)
    assert ((shares >= 0) & (shares <= 1)).all()


def test_sparse_processes_have_the_values_and_gradients_of_dense_ones():
    moves, start, discount, rewards = random_process(0)
    dense = tw.MDP(moves, start, discount)
    by_action = [sparse.csr_matrix(moves[:, a]) for a in range(3)]
    for given in (by_action, torch.as_tensor(moves).to_sparse()):
        thin = tw.MDP(given, start, discount)
        policies = random_policies(1, 4, 6, 3).requires_grad_()
        a, b = (m.regret(policies, rewards) for m in (dense, thin))
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
        ga, gb = (torch.autograd.grad(x.sum(), policies)[0] for x in (a, b))
        torch.testing.assert_close(ga, gb, atol=1e-11, rtol=0)
        torch.testing.assert_close(dense.occupancy(policies), thin.occupancy(policies), atol=1e-12, rtol=0)
        assert torch.equal(dense.reachable, thin.reachable)


def both_kinds(seed=0):
    """The same process dense and sparse, its start, and its rewards as a tensor."""
    moves, start, discount, rewards = random_process(seed)
    thin = tw.MDP([sparse.csr_matrix(moves[:, a]) for a in range(3)], start, discount)
    return tw.MDP(moves, start, discount), thin, torch.as_tensor(rewards)


def hessian_product(loss, inputs, directions):
    """H v for the inputs together."""
    slopes = torch.autograd.grad(loss(*inputs), inputs, create_graph=True)
    along = sum((s * d).sum() for s, d in zip(slopes, directions, strict=True))
    return torch.autograd.grad(along, inputs)


MEASURES = {
    "returns": lambda m, p, r: m.returns(p, r).square().sum(),
    "occupancy": lambda m, p, r: (m.occupancy(p) * r).square().sum(),
    "action values": lambda m, p, r: m.action_values(p, r).square().sum(),
    "expected": lambda m, p, r: m.expected(r[..., 0] * p[..., 0]).square().sum(),
    "regret": lambda m, p, r: m.regret(p, r).square().sum(),
    "share": lambda m, p, r: m.regret(p, r, normalised=True).square().sum(),
    "steps": lambda m, p, r: m.returns(p, r[..., None] * torch.linspace(0, 1, 6).double()).square().sum(),
}


@pytest.mark.parametrize("measured", MEASURES)
def test_sparse_processes_have_the_second_derivatives_of_dense_ones(measured):
    dense, thin, rewards = both_kinds()
    policies, loss = random_policies(1, 2, 6, 3), MEASURES[measured]
    policies = policies[0] if measured == "steps" else policies
    generator = torch.Generator().manual_seed(2)
    inputs = [x.clone().requires_grad_() for x in (policies, rewards)]
    directions = [torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in inputs]
    found = []
    for mdp in (dense, thin):

        def of(p, r, mdp=mdp):
            weighted = p / p.sum(-1, keepdim=True)  # stays a policy off the simplex
            return loss(mdp, weighted, r)

        slopes = torch.autograd.grad(of(*inputs), inputs)
        found.append([*slopes, *hessian_product(of, inputs, directions)])
    assert all(float(x.abs().max()) > 1e-3 for x in found[0])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a, atol=1e-9, rtol=1e-9)


def test_a_dense_solve_is_mapped_over_policies():
    dense, _, rewards = both_kinds()
    policies = random_policies(3, 5, 6, 3)
    twice = torch.func.jacrev(torch.func.jacrev(lambda p: dense.solve(p, rewards) @ dense.start))
    mapped = torch.func.vmap(twice)(policies)
    one = torch.autograd.functional.hessian(lambda p: dense.solve(p, rewards) @ dense.start, policies[4])
    torch.testing.assert_close(mapped[4], one, atol=1e-10, rtol=0)


def slopes_by_differences(of, at, step=1e-6):
    """Central differences of a number, entry by entry."""
    found = torch.zeros_like(at)
    for i in range(at.numel()):
        move = torch.zeros_like(at).reshape(-1)
        move[i] = step
        move = move.reshape(at.shape)
        found.view(-1)[i] = (of(at + move) - of(at - move)) / (2 * step)
    return found


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_gradients_in_the_reward_are_those_of_differences(kind):
    dense, thin, rewards = both_kinds(4)
    mdp = dense if kind == "dense" else thin
    policy = random_policies(5, 1, 6, 3)[0]
    numbers = {
        "best": lambda r: mdp.optimal(r).value @ mdp.start,
        "worst": lambda r: mdp.worst(r).value @ mdp.start,
        "soft": lambda r: mdp.soft_optimal(r, 0.3).value @ mdp.start,
        "soft policy": lambda r: (mdp.soft_optimal(r, 0.3).policy * rewards).sum(),
        "range": mdp.return_range,
        "regret": lambda r: mdp.regret(policy, r),
        "share": lambda r: mdp.regret(policy, r, normalised=True),
    }
    for name, of in numbers.items():
        moving = rewards.clone().requires_grad_()
        (slope,) = torch.autograd.grad(of(moving), moving)
        torch.testing.assert_close(slope, slopes_by_differences(of, rewards), atol=1e-6, rtol=0, msg=name)
        assert float(slope.abs().max()) > 1e-3
    soft = mdp.soft_optimal(rewards, 0.3)
    moving = rewards.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mdp.soft_optimal(moving, 0.3).value @ mdp.start, moving)
    torch.testing.assert_close(slope, mdp.occupancy(soft.policy), atol=1e-9, rtol=0)
    assert not torch.allclose(slope, mdp.occupancy(mdp.optimal(rewards).policy), atol=1e-3)


def test_curvature_of_the_soft_optimum_in_the_reward_is_that_of_differences():
    mdp, _, rewards = both_kinds(4)
    direction = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def slope(reward):
        return mdp.occupancy(mdp.soft_optimal(reward, 0.3).policy)

    (found,) = hessian_product(
        lambda r: mdp.soft_optimal(r, 0.3).value @ mdp.start, [rewards.requires_grad_()], [direction]
    )
    rewards = rewards.detach()
    step = 1e-5 * direction
    torch.testing.assert_close(found, (slope(rewards + step) - slope(rewards - step)) / 2e-5, atol=1e-6, rtol=0)
    assert float(found.abs().max()) > 0.1


def test_a_soft_optimum_near_the_hard_one_has_finite_slopes():
    mdp, _, rewards = both_kinds(4)
    moving = rewards.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mdp.soft_optimal(moving, 1e-4).value @ mdp.start, moving)
    torch.testing.assert_close(slope, mdp.occupancy(mdp.optimal(rewards).policy), atol=1e-9, rtol=0)


def test_batches_of_planned_rewards_have_the_gradients_of_each_alone():
    mdp, _, rewards = both_kinds(4)
    both = torch.stack([rewards, -2 * rewards]).requires_grad_()
    (slope,) = torch.autograd.grad(mdp.return_range(both).sum(), both)
    alone = rewards.clone().requires_grad_()
    (first,) = torch.autograd.grad(mdp.return_range(alone), alone)
    torch.testing.assert_close(slope[0], first, atol=1e-12, rtol=0)
    torch.testing.assert_close(slope[1], -first, atol=1e-12, rtol=0)  # the best of -r is the worst of r


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("size", [1e-14, 1.0, 1e6])
def test_a_range_of_mere_rounding_is_none(discount, size):
    moves, start, _, rewards = random_process(6)
    mdp = tw.MDP(moves, start, discount)
    potential = size * np.random.default_rng(7).normal(size=6)
    shaping = torch.as_tensor(discount * moves @ potential - potential[:, None])
    assert float(mdp.return_range(shaping)) == 0.0
    policy = random_policies(8, 1, 6, 3)[0]
    with pytest.raises(tw.InputError, match=r"the return range of a reward is 0 .* leave normalised= out"):
        mdp.regret(policy, shaping, normalised=True)
    plain = float(mdp.return_range(rewards))
    for share in (1e-6, 1.0):  # negative control: a small range that is there
        shaped = shaping + size * share * torch.as_tensor(rewards)
        assert float(mdp.return_range(shaped)) == pytest.approx(size * share * plain, rel=1e-5)
        assert 0 < float(mdp.regret(policy, shaped, normalised=True)) < 1
    mixed = torch.stack([shaping, size * torch.as_tensor(rewards)])
    assert (mdp.return_range(mixed) > 0).tolist() == [False, True]


def test_rewards_of_states_and_of_steps_are_means_over_the_next_state():
    moves, start, discount, _ = random_process(2)
    of_steps = np.random.default_rng(0).normal(size=(6, 3, 6))
    for given in (moves, [sparse.csr_matrix(moves[:, a]) for a in range(3)]):
        mdp = tw.MDP(given, start, discount)
        np.testing.assert_allclose(mdp.mean_reward(of_steps), (moves * of_steps).sum(-1), atol=1e-14)
        assert mdp.mean_reward(np.arange(6.0)).shape == (6, 3)


def test_batches_of_rewards_are_planned_one_by_one():
    moves, start, discount, _ = random_process(3)
    mdp = tw.MDP(moves, start, discount)
    rewards = np.random.default_rng(1).normal(size=(7, 6, 3))
    whole = mdp.optimal(rewards).value
    for reward, value in zip(rewards, whole, strict=True):
        torch.testing.assert_close(mdp.optimal(reward).value, value, atol=1e-12, rtol=0)


def test_soft_optimum_is_no_worse_than_any_policy_near_it():
    moves, start, discount, rewards = random_process(4)
    mdp = tw.MDP(moves, start, discount)
    plan = mdp.soft_optimal(rewards, 0.3)

    def worth(policy):
        entropy = -(policy * policy.log()).sum(-1, keepdim=True)
        return mdp.returns(policy, mdp.mean_reward(rewards) + 0.3 * entropy)

    generator = torch.Generator().manual_seed(0)
    shaken = torch.softmax(plan.policy.log() + 0.1 * torch.randn(50, 6, 3, generator=generator).double(), -1)
    assert (worth(shaken) < worth(plan.policy)).all()
    assert float(worth(plan.policy)) == pytest.approx(float(plan.value @ mdp.start), abs=1e-10)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"transitions": np.full((3, 2, 3), 0.3)}, "sums to 0.9"),
        ({"transitions": np.ones((3, 2, 2)) / 2}, r"give \(S, A, S\)"),
        ({"transitions": np.full((3, 2, 3), np.nan)}, "no probability"),
        ({"start": [0.5, 0.4, 0.0]}, "start sums to 0.9"),
        ({"start": [0.5, 0.5]}, "start has shape"),
        ({"discount": 1.0}, "discount = 1.0"),
        ({"discount": -0.1}, "discount = -0.1"),
        ({"transitions": [[[1.0, 0.0], [1.0]]]}, "transitions is no array of numbers"),
        ({"transitions": None}, "transitions is no array of numbers"),
        ({"start": ["a", "b", "c"]}, "start is no array of numbers"),
    ],
)
def test_what_is_no_process_is_refused(change, told):
    given = {"transitions": np.full((3, 2, 3), 1 / 3), "start": [1.0, 0.0, 0.0], "discount": 0.9} | change
    with pytest.raises(tw.InputError, match=told):
        tw.MDP(**given)


def test_lists_are_read_in_double_precision():
    moves, start, reward, policy = [[[1 / 3, 2 / 3], [0.1, 0.9]]] * 2, [0.1, 0.9], [0.1, 0.7], [[0.3, 0.7]] * 2
    listed, held = tw.MDP(moves, start, 0.9), tw.MDP(np.array(moves), np.array(start), 0.9)
    assert torch.equal(listed.transitions, held.transitions)
    assert torch.equal(listed.start, held.start)
    value = held.evaluate(torch.tensor(policy, dtype=torch.float64), np.array(reward))
    assert torch.equal(listed.evaluate(policy, reward), value)
    assert not torch.equal(listed.evaluate(policy, torch.tensor(reward)), value)  # torch's own reading, float32
    assert torch.equal(
        Linear([[0.1], [0.7]]).reward([0.3], 1), 0.3 * torch.tensor([[0.1], [0.7]], dtype=torch.float64)
    )


def test_policies_and_rewards_that_do_not_fit_are_refused():
    mdp = tw.MDP(np.full((3, 2, 3), 1 / 3), [1.0, 0.0, 0.0], 0.9)
    with pytest.raises(tw.InputError, match="policy has shape"):
        mdp.returns(torch.full((2, 3), 0.5), np.zeros(3))
    with pytest.raises(tw.InputError, match="policy at 0 sums to"):
        mdp.returns(torch.tensor([[0.5, 0.4], [0.5, 0.5], [0.5, 0.5]]), np.zeros(3))
    with pytest.raises(tw.InputError, match="reward has shape"):
        mdp.returns(torch.full((3, 2), 0.5), np.zeros(4))
    with pytest.raises(tw.InputError, match="reward holds NaN"):
        mdp.returns(torch.full((3, 2), 0.5), np.full(3, np.nan))
    with pytest.raises(tw.InputError, match="reward is no array of numbers"):
        mdp.returns(torch.full((3, 2), 0.5), "much")
    with pytest.raises(tw.InputError, match="return range of a reward is 0 "):
        mdp.regret(torch.full((3, 2), 0.5), np.zeros(3), normalised=True)


@pytest.mark.parametrize(("setting", "expected"), TABLE.items())
def test_regrets_of_the_published_world(setting, expected):
    alpha, discount = setting
    assert reference_regrets(13, 64, alpha, discount) == pytest.approx(expected, abs=5e-4)


def returns_by_hand(size, alpha, discount, horizon, policy):
    """Each level's return, state by state in numpy; level -> cell -> probabilities of the four moves."""
    side = size - 2
    total = best = 0.0
    for cheese in range(side * side):
        value = np.zeros(side * side)
        for _ in range(horizon):
            new = np.zeros_like(value)
            for mouse in range(side * side):
                if mouse == cheese:
                    continue
                for (down, right), chance in zip(MOVES, policy[cheese][mouse], strict=True):
                    row = min(max(mouse // side + down, 0), side - 1)
                    column = min(max(mouse % side + right, 0), side - 1)
                    to = row * side + column
                    new[mouse] += chance * discount * (1.0 if to == cheese else value[to])
            value = new
        weight = alpha / side**2 + (1 - alpha) * (cheese == 0)
        total += weight * value.sum() / (side**2 - 1)
        far = [abs(m // side - cheese // side) + abs(m % side - cheese % side) for m in range(side * side)]
        best += weight * sum(discount**d for d in far if 0 < d <= horizon) / (side**2 - 1)
    return total, best


@pytest.mark.parametrize(
    ("size", "alpha", "discount", "horizon"),
    [(4, 0.3, 0.9, 5), (5, 0.0, 0.5, 9), (6, 1.0, 0.99, 12), (7, 0.2, 0.0, 3)],
)
def test_regret_of_other_worlds_is_that_of_an_independent_programme(size, alpha, discount, horizon):
    levels = corner(size, alpha=alpha, discount=discount, horizon=horizon)
    generator = torch.Generator().manual_seed(size)
    drawn = torch.softmax(torch.randn(len(levels), levels.states, 4, generator=generator).double(), -1)
    for policy in (drawn, uniform(size), to_corner(size), to_cheese(size)):
        total, best = returns_by_hand(size, alpha, discount, horizon, policy.numpy())
        assert float(levels.regret(policy)) == pytest.approx(best - total, abs=1e-10)
    known = reference_regrets(size, horizon, alpha, discount)
    total, best = returns_by_hand(size, alpha, discount, horizon, to_corner(size).numpy())
    assert known.corner == pytest.approx(best - total, abs=1e-10)
    assert known.optimal_return == pytest.approx(best, abs=1e-10)


@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_gradient_of_exact_regret_is_that_of_differences(temperature):
    torch.manual_seed(0)
    mouse = Mouse(5, (6, 5)).double()
    scape = regret_landscape(mouse, corner(5, alpha=0.4, discount=0.9, horizon=9), n=100, temperature=temperature)
    center = measure(scape)

    def at(flat):
        with torch.no_grad():
            params = scape.layout.unflatten(flat)
            return scape.losses(params, {}, scape.data.inputs, scape.data.targets).mean().item()

    assert center.loss == pytest.approx(at(center.params))
    for i in range(0, len(center.params), 7):
        step = torch.zeros_like(center.params)
        step[i] = 1e-5
        slope = (at(center.params + step) - at(center.params - step)) / 2e-5
        assert float(center.gradient[i]) == pytest.approx(slope, abs=1e-6)


def test_gradient_of_a_process_is_that_of_differences():
    moves, start, discount, rewards = random_process(5)
    mdp = tw.MDP(moves, start, discount)
    policy = Tabular(6, 3)
    with torch.no_grad():
        policy.logits.normal_(generator=torch.Generator().manual_seed(0))
    for temperature in (0.0, 0.2):
        center = measure(regret_landscape(policy, mdp, n=10, reward=rewards, temperature=temperature))
        scape = regret_landscape(policy, mdp, n=10, reward=rewards, temperature=temperature)
        for i in range(18):
            step = torch.zeros(18, dtype=torch.float64)
            step[i] = 1e-5
            ends = [
                measure(scape.at({"logits": (center.params + sign * step).reshape(6, 3)})).loss for sign in (1, -1)
            ]
            assert float(center.gradient[i]) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)


def test_regret_of_a_landscape_is_that_of_the_levels_and_of_their_parts():
    torch.manual_seed(1)
    mouse, levels = Mouse(6), corner(6, alpha=0.3, discount=0.9)
    policy = levels.policy(mouse).double()
    assert measure(regret_landscape(mouse, levels, n=10)).loss == pytest.approx(
        float(levels.regret(policy)), abs=1e-6
    )
    for group in ("corner", "elsewhere"):
        part = measure(regret_landscape(mouse, levels.only(group), n=10)).loss
        assert part == pytest.approx(float(levels.regret(policy, group)), abs=1e-6)
    near = torch.zeros(levels.states, dtype=torch.bool)
    near[:3] = True
    some = levels.only("elsewhere", near)
    assert len(some) == 15
    assert float(some.start.sum()) == pytest.approx(15)
    assert (some.start[:, 3:] == 0).all()
    with pytest.raises(tw.InputError, match="no group 'left'"):
        levels.only("left")


def test_a_convolution_sees_the_same_world():
    torch.manual_seed(0)
    levels = corner(5, alpha=0.5, discount=0.9, horizon=8, observe="image")
    seen = levels.observations
    assert seen.shape == (9, 9, 3, 5, 5)
    assert (seen[:, :, 0].sum((-1, -2)) == 16).all()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 4))
    assert measure(regret_landscape(net, levels, n=10)).loss > 0


def test_a_mouse_that_wants_the_corner_gets_most_by_walking_there():
    levels = proxy(corner(6, alpha=0.5, discount=0.9).only("elsewhere"))
    policies = [make(6)[1:] for make in (uniform, to_corner, to_cheese)]
    assert np.argmin([float(levels.regret(p)) for p in policies]) == 1


@pytest.mark.parametrize(
    "world", [keys_and_chests(3, alpha=0.3, discount=0.9), lava_world(4, alpha=0.4, discount=0.9)]
)
def test_small_worlds_are_played_as_they_are_solved(world):
    even = torch.full((len(world), world.states, world.actions), 0.25, dtype=torch.float64)
    exact = float((world.weight * world.returns(even)).sum())
    played = rollout(lambda seen: torch.zeros(len(seen), 4), Played(world), torch.arange(20_000)).returns(0.9)
    assert abs(float(played.mean()) - exact) < 4 * float(played.std()) / 20_000**0.5
    assert (world.best() >= world.returns(even) - 1e-12).all()
    assert float(world.regret(even, "distinguishing")) > 0


def test_a_second_key_is_worth_nothing_where_there_is_one_chest():
    world = keys_and_chests(3, alpha=0.5, discount=0.9)
    best = world.best()
    assert float(best[world.groups["scarce"]].max()) < 1
    assert float((world.weight * best).sum()) > 0.3


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: corner(3, alpha=0.1, discount=0.9), "size = 3"),
        (lambda: corner(9, alpha=1.1, discount=0.9), "alpha = 1.1"),
        (lambda: corner(9, alpha=0.1, discount=1.0), "discount = 1.0"),
        (lambda: corner(9, alpha=0.1, discount=0.9, horizon=0), "horizon = 0"),
        (lambda: corner(9, alpha=0.1, discount=0.9, observe="smell"), "observe = 'smell'"),
        (lambda: keys_and_chests(2, alpha=0.1, discount=0.9), "side = 2"),
        (lambda: lava_world(4, alpha=0.1, discount=0.9, cells=15), "15 cells of lava"),
        (lambda: regret_landscape(nn.Linear(2, 3), corner(4, alpha=0.1, discount=0.9), n=10), "policy"),
        (lambda: regret_landscape(Tabular(2, 2), tw.MDP(np.ones((2, 2, 2)) / 2, [1, 0], 0.5), n=10), "no reward"),
        (lambda: regret_landscape(Tabular(2, 2), corner(4, alpha=0.1, discount=0.9), n=10, reward=1), "their own"),
        (lambda: regret_landscape(Mouse(4), corner(4, alpha=0.1, discount=0.9), n=10, temperature=-1), "temperature"),
        (lambda: regret_landscape(Mouse(4), "world", n=10), "world is a str"),
        (
            lambda: regret_landscape(
                nn.Sequential(nn.Embedding(2, 5)), tw.MDP(np.ones((2, 2, 2)) / 2, [1, 0], 0.5), n=9, reward=[1, 0]
            ),
            "the world has 2 actions",
        ),
    ],
)
def test_bad_worlds_and_policies_are_named(make, told):
    with pytest.raises(tw.InputError, match=told):
        make()


def test_coefficient_of_regret_on_a_known_germ():
    scape = tw.potential(lambda p: p["w"][0] ** 2 * p["w"][1] ** 4, {"w": torch.zeros(2, dtype=torch.float64)}, 10**8)
    assert tw.estimate_llc(scape, rtol=0.02).value == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("seed", range(2))
def test_coefficient_of_soft_regret_counts_actions_and_reachable_states(seed):
    moves, _, discount, rewards = random_process(seed, states=4, discount=0.8)
    moves = np.sqrt(np.sqrt(moves))
    moves[:3, :, 3] = 0  # the last state is not reached
    mdp = tw.MDP(moves / moves.sum(-1, keepdims=True), [1.0, 0.0, 0.0, 0.0], discount)
    assert mdp.reachable.tolist() == [True, True, True, False]
    policy = Tabular(4, 3)
    with torch.no_grad():
        policy.logits.copy_(mdp.soft_optimal(rewards, 0.5).policy.log())
    scape = regret_landscape(policy, mdp, n=10**6, reward=rewards, temperature=0.5)
    assert tw.estimate_llc(scape, rtol=0.02).value == pytest.approx((3 - 1) * 3 / 2, rel=0.05)


@pytest.mark.parametrize("sharpness", [0.0, 3.0, 12.0, 60.0, 1000.0])
def test_plain_softmax_regret_says_that_it_has_no_minimum(sharpness):
    moves, start, discount, rewards = random_process(7, states=4)
    mdp, policy = tw.MDP(moves, start, discount), Tabular(4, 3)
    with torch.no_grad():
        policy.logits.copy_(sharpness * mdp.optimal(rewards).policy)
    found = tw.estimate_llc(
        regret_landscape(policy, mdp, n=1000, reward=rewards), sampler="sgld", burn_in=50, draws=100, step_size=1e-3
    )
    assert found.verdict == "no-minimum"
    assert "no finite minimum" in found.reasons[0]
    with pytest.raises(tw.UnhealthyError):
        _ = found.value


def test_actions_that_tie_have_a_minimum():
    mdp = tw.MDP(np.full((2, 2, 2), 0.5), [1.0, 0.0], 0.5)
    found = measure(regret_landscape(Tabular(2, 2), mdp, n=1000, reward=[1.0, 0.0]))
    assert found.doubt == ""


def doubt(policy, mdp, rewards, observations=None, **restriction):
    scape = regret_landscape(policy, mdp, n=1000, reward=rewards, observations=observations)
    return measure(scape.restrict(**restriction) if restriction else scape).doubt


def test_any_table_and_any_network_may_have_no_minimum():
    moves, start, discount, rewards = random_process(7, states=4)
    mdp = tw.MDP(moves, start, discount)
    best = mdp.optimal(rewards).policy
    table = nn.Embedding(4, 3).double()
    wrong = Tabular(4, 3)
    deep = nn.Sequential(nn.Embedding.from_pretrained(torch.eye(4).double()), nn.Linear(4, 3, bias=False).double())
    with torch.no_grad():
        table.weight.zero_()
        wrong.logits.copy_(900 * mdp.worst(rewards).policy)  # where no probability is left for what is better
        deep[1].weight.copy_(5 * best.T)
    for policy in (table, wrong, deep):
        assert "no finite minimum" in doubt(policy, mdp, rewards)
    some = {"1.weight": torch.ones(3, 4, dtype=torch.bool)}
    some["1.weight"][:, 0] = False  # other states still grow
    assert "no finite minimum" in doubt(deep, mdp, rewards, masks=some)


def test_a_minimum_behind_closed_or_bounded_logits_is_one():
    moves, start, discount, rewards = random_process(7, states=4)
    mdp = tw.MDP(moves, start, discount)
    bounded = nn.Sequential(nn.Embedding(4, 3).double(), nn.Tanh())
    deep = nn.Sequential(nn.Embedding(4, 5).double(), nn.Linear(5, 3, bias=False).double())
    with torch.no_grad():
        bounded[0].weight.copy_(mdp.optimal(rewards).policy)
    assert doubt(bounded, mdp, rewards) == ""
    assert doubt(deep, mdp, rewards, masks={"1.weight": torch.zeros(3, 5, dtype=torch.bool)}) == ""


@pytest.mark.parametrize("logits", [(0.0, 0.0), (0.3, 0.0), (6.0, 0.0)])
def test_states_that_look_alike_may_have_their_minimum_at_a_coin(logits):
    moves = torch.zeros(3, 2, 3, dtype=torch.float64)  # what leaves one state stays in the other
    moves[0, 0, 2] = moves[0, 1, 0] = moves[1, 1, 2] = moves[1, 0, 1] = moves[2, :, 2] = 1
    mdp = tw.MDP(moves, [0.5, 0.5, 0.0], 0.9)
    policy, rewards = Tabular(1, 2), [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    with torch.no_grad():
        policy.logits.copy_(torch.tensor([logits]))
    assert doubt(policy, mdp, rewards, torch.zeros(3, dtype=torch.int64)) == ""
    apart = Tabular(3, 2)
    assert "no finite minimum" in doubt(apart, mdp, rewards)


def test_a_seed_learns_alone_as_it_learns_among_others():
    levels, ascent = corner(5, alpha=0.3, discount=0.9, horizon=9), Ascent(40, 0.01, 4, 20, 0.01)
    together = list(ascend(lambda: Mouse(5, (8,)), levels, ascent, [3, 4, 5]))
    alone = list(ascend(lambda: Mouse(5, (8,)), levels, ascent, [4]))
    assert [m.step for m in together] == [0, 20, 40]
    for a, b in zip(together, alone, strict=True):
        for name, w in b.weights[0].items():
            torch.testing.assert_close(a.weights[1][name], w, atol=1e-6, rtol=1e-5)
    mouse = Mouse(5, (8,))
    regrets = []
    for moment in (together[0], together[-1]):
        mouse.load_state_dict(moment.weights[0])
        regrets.append(float(levels.regret(levels.policy(mouse).double())))
    assert regrets[1] < 0.7 * regrets[0]
    with pytest.raises(tw.InputError, match="0 seeds"):
        next(ascend(lambda: Mouse(5), levels, ascent, []))


def test_processes_are_the_same_to_the_last_digit():
    mdp = tw.MDP([[[0.1, 0.9], [1.0, 0.0]], [[0.3, 0.7], [0.2, 0.8]]], [0.5, 0.5], 0.9)
    same = tw.MDP(np.array([[[0.1, 0.9], [1.0, 0.0]], [[0.3, 0.7], [0.2, 0.8]]]), np.array([0.5, 0.5]), 0.9)
    assert mdp.same(same)
    reward, policy = [0.1, 0.7], [[0.1, 0.9], [0.6, 0.4]]
    assert torch.equal(mdp.mean_reward(reward), same.mean_reward(np.array(reward)))
    assert torch.equal(mdp.occupancy(policy), same.occupancy(np.array(policy)))
    assert not mdp.same(tw.MDP(same.transitions, [0.25, 0.75], 0.9))
    assert not mdp.same(tw.MDP(same.transitions, [0.5, 0.5], 0.8))
    assert not mdp.same(tw.MDP(same.transitions.flip(1), [0.5, 0.5], 0.9))
