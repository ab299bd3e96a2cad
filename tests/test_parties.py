"""What can be known of Alice, of Bob and of his world, and the certificate of each kind."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.certificates import (
    ActionCounts,
    Bob,
    Candidates,
    Contextual,
    Demonstrations,
    GeneralisationBound,
    KnownReward,
    ModelError,
    StatedPolicy,
    certify,
    covered,
    predicted_evidence,
)
from thalweg.envs import gridworld
from thalweg.irl import Behaviour, Boltzmann, GoodnessOfFit, Linear, goodness_of_fit, worst_context
from thalweg.mdp import Abstraction, Gains, contextual_minimax_regret, mixture
from thalweg.mdp._rows import from_rows
from thalweg.mdp.worst_regret.batch import worst_regrets
from thalweg.recipes.alice_and_bob._alices import alice, bayes_bob


def world(seed=0, states=6, actions=3, discount=0.9):
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    return tw.MDP(moves, rng.dirichlet(np.ones(states)), discount)


def reward(seed, mdp):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(mdp.states, mdp.actions)))


def chosen(seed, mdp, policy, count):
    rng = np.random.default_rng(seed)
    states = rng.integers(mdp.states, size=count)
    actions = [int(rng.choice(mdp.actions, p=policy[s].numpy() / policy[s].sum().item())) for s in states]
    return Behaviour((mdp,), torch.as_tensor(states), torch.tensor(actions))


def share(mdp, policy, r):
    return float(mdp.regret(policy, r, normalised=True))


def named(found, name):
    return next(a for a in found.assumptions if a.name.startswith(name))


# --- Alice -------------------------------------------------------------------------------------------------------


def test_candidates_have_the_worst_of_those_that_are_left():
    mdp, choice_model = world(), Boltzmann(20.0)
    rewards = [reward(k, mdp) for k in range(30)]
    seen = chosen(0, mdp, choice_model.log_policy(mdp, rewards[4]).exp(), 60)
    bob = Bob(mdp.optimal(rewards[4]).policy, rewards[4], 0.05)
    found = certify(Candidates(seen, rewards, choice_model, 0.1, reward=rewards[4]), bob, mdp)
    logs = torch.stack([(choice_model.log_policy(mdp, r) * seen.counts(0)).sum() for r in rewards])
    left = [r for r, log in zip(rewards, logs, strict=True) if log >= logs.logsumexp(0) - np.log(30) + np.log(0.1)]
    assert 1 <= len(left) < 30
    assert found.exact == pytest.approx(max(share(mdp, bob.policy, r) for r in left), abs=1e-12)
    assert found.lp == pytest.approx(max(tw.worst_regret(mdp, r, rewards[4], 0.05).value for r in left), abs=1e-12)
    assert found.exact <= found.lp <= found.t1
    assert found.realised == 0
    assert named(found, "candidates").status == "assumed"
    assert f"leave {len(left)}" in named(found, "candidates").words


def test_log_probabilities_say_what_the_reward_does():
    mdp = world(1)
    hers, other = reward(1, mdp), reward(2, mdp)
    bob = Bob(mdp.optimal(other).policy, other, 0.1)
    known = certify(KnownReward(hers), bob, mdp)
    for choice_model in (Boltzmann(7.0), Boltzmann(3.0, relative=False), tw.irl.Soft(0.5)):
        asked = certify(StatedPolicy(choice_model.log_policy(mdp, hers), choice_model), bob, mdp)
        for name in ("exact", "lp", "t1"):
            assert getattr(asked, name) == pytest.approx(getattr(known, name), abs=1e-6), (choice_model, name)
    wrong = certify(StatedPolicy(Boltzmann(7.0).log_policy(mdp, hers), tw.irl.Soft(0.5)), bob, mdp)
    assert abs(wrong.exact - known.exact) > 1e-3  # the choice model matters


def test_counts_certify_a_policy_in_their_own_process():
    mdp = world(2, states=3, actions=2)
    hers = reward(3, mdp)
    seen = chosen(1, mdp, Boltzmann(8.0).log_policy(mdp, hers).exp(), 20_000)
    policy = mdp.optimal(hers).policy
    found = certify(ActionCounts(seen, 0.1), Bob(policy), mdp)
    assert share(mdp, policy, hers) <= found.bound < 0.5
    assert (found.lp, found.delta) == (None, 0.1)
    elsewhere = certify(ActionCounts(seen), Bob(policy), world(3, states=3, actions=2))
    assert not elsewhere.issued
    few = certify(ActionCounts(seen.only(torch.arange(20_000) < 5)), Bob(policy), mdp)
    assert [a.name for a in few.failed] == ["counts"]


def test_contextual_values_count_by_the_worst():
    mdp = world(4)
    rewards = [reward(k, mdp) for k in (5, 6)]
    floor = contextual_minimax_regret(mdp, rewards)
    bob = Bob(floor.policy)
    found = certify(Contextual(tuple(map(KnownReward, rewards))), bob, mdp)
    assert found.floor == pytest.approx(floor.value)
    assert found.slacks["floor"] == floor.gap
    assert found.bound == pytest.approx(max(share(mdp, floor.policy, r) for r in rewards))
    assert found.bound == pytest.approx(found.floor, abs=1e-7)  # nobody does better by both
    best = certify(Contextual(tuple(map(KnownReward, rewards))), Bob(mdp.optimal(rewards[0]).policy), mdp)
    assert best.bound > found.floor + 1e-3
    shards = []
    for seed in (7, 8):
        behaviour, values, choice_model, _ = alice(seed, 200)
        shards.append(Demonstrations(behaviour, values, choice_model, 0.05))
    bob, there = Bob(torch.full((10, 3), 1 / 3)), shards[0].behaviour.environments[0]
    both = certify(Contextual(tuple(shards)), bob, there)
    each = [certify(shard, bob, there).bound for shard in shards]
    assert both.bound == max(each)
    assert both.delta == pytest.approx(0.1)
    assert both.floor is None


# --- a choice model that no test stands behind
# ---------------------------------------------------------------------------


def of_one_state(hers=0.5, count=2000):
    """Choices at a fork by an Alice who discounts with `hers`: 1 now, or 1 four steps later; 0.95 is stated."""
    moves = np.zeros((7, 2, 7))
    moves[0, 0, 1] = moves[0, 1, 2] = moves[6, 0, 1] = moves[6, 1, 6] = 1
    for state, to in ((1, 1), (2, 3), (3, 4), (4, 5), (5, 5)):
        moves[state, :, to] = 1
    features = torch.zeros(7, 2, dtype=torch.float64)
    features[1, 0] = features[5, 1] = 1
    stated, own = (tw.MDP(moves, [0.9, 0, 0, 0, 0, 0, 0.1], discount) for discount in (0.95, hers))
    values, choice_model = Linear(features), Boltzmann(20.0)
    truth = values.reward(torch.tensor([0.3, 0.7], dtype=torch.float64), 2)
    far = float(choice_model.log_policy(own, truth).exp()[0, 1])
    actions = torch.as_tensor((np.random.default_rng(0).random(count) < far).astype(int))
    seen = Behaviour((stated,), torch.zeros(count, dtype=torch.int64), actions)
    near = torch.tensor([[1.0, 0.0]] * 7, dtype=torch.float64)
    return Demonstrations(seen, values, choice_model, reward=truth), Bob(near), stated


def test_a_rule_that_cannot_be_tested_has_no_number_unless_one_asks():
    hers, bob, stated = of_one_state()
    tested = goodness_of_fit(hers.behaviour, hers.values, hers.choice_model)
    assert tested.verdict == "untestable"
    found = certify(replace(hers, goodness_of_fit=tested), bob, stated)
    assert [a.name for a in found.failed] == ["rule tested"]
    assert all(words in found.summary for words in ("untestable", "narrower class", "untested=True", "--untested"))
    asked = certify(replace(hers, goodness_of_fit=tested, untested=True), bob, stated)
    assert asked.bound < asked.realised  # what it was refused for: she plans with another discount
    first = "The rule by which Alice is said to choose was not tested (untestable: "
    assert asked.statement.startswith(first)
    assert asked.summary.startswith(first)
    none = certify(hers, bob, stated)
    assert none.summary.startswith("The rule by which Alice is said to choose was not tested (no held-out test")


def test_a_rule_that_was_refused_is_not_taken_by_name_and_one_that_passed_says_nothing():
    hers, bob, stated = of_one_state(hers=0.95)
    passed = GoodnessOfFit(0.5, (), "passed", "", 3, 0.05)
    found = certify(replace(hers, goodness_of_fit=passed, untested=True), bob, stated)
    assert found.statement.startswith("If Alice chose by the stated rule")
    failed = replace(passed, verdict="failed", reason="choices do not follow the model")
    assert not certify(replace(hers, goodness_of_fit=failed, untested=True), bob, stated).issued


@pytest.mark.parametrize("kind", ["candidates", "shards"])
def test_every_party_that_was_seen_says_that_no_test_was_made(kind):
    hers, bob, stated = of_one_state(hers=0.95)
    tested = goodness_of_fit(hers.behaviour, hers.values, hers.choice_model)

    def party(**how):
        if kind == "candidates":
            return Candidates(hers.behaviour, [hers.reward, 2.0 * hers.reward], hers.choice_model, **how)
        return Contextual((KnownReward(hers.reward), replace(hers, **how)))

    assert not certify(party(goodness_of_fit=tested), bob, stated).issued
    place = "[1])" if kind == "shards" else ")"
    for how in ({"goodness_of_fit": tested, "untested": True}, {}):
        found = certify(party(**how), bob, stated)
        assert found.issued
        assert found.statement.index("was not tested") < found.statement.index(place) < found.statement.index(". ")


def test_another_evidence_and_a_wider_set_are_larger_sets():
    behaviour, values, choice_model, theta = alice(9, 400)
    mdp = behaviour.environments[0]
    policy, _ = bayes_bob(covered(behaviour, values, choice_model, 0.1), mdp)

    def bound(**options):
        return certify(Demonstrations(behaviour, values, choice_model, 0.1, **options), Bob(policy), mdp)

    plain, wide = bound(), bound(slack=3.0)
    assert plain.bound < wide.bound
    assert named(wide, "slack").status == "assumed"
    predicted = bound(evidence=predicted_evidence(behaviour))
    assert named(predicted, "evidence").status == "assumed"
    assert plain.bound < predicted.bound  # a predictor without a class knows less
    assert share(mdp, policy, values.reward(theta, 3)) <= plain.bound
    impossible = bound(evidence=0.0)  # as if each choice had been foreseen
    assert [a.name for a in impossible.failed] == ["class"]


def test_she_may_be_seen_in_other_states_than_his():
    behaviour, values, choice_model, theta = alice(10, 300)
    mdp = behaviour.environments[0]
    fine = Abstraction(torch.arange(10).repeat(2))
    moves = torch.cat([mdp.transitions, mdp.transitions], -1).repeat(2, 1, 1) / 2
    there = tw.MDP(moves, mdp.start.repeat(2) / 2, mdp.discount)
    features = Linear(values.features.repeat(2, 1))
    policy = mdp.optimal(values.reward(theta, 3) + 0.3).policy
    here = certify(Demonstrations(behaviour, values, choice_model, 0.1), Bob(policy), mdp)
    same = certify(
        Demonstrations(behaviour, values, choice_model, 0.1, there=features),
        Bob(fine.pull_back_policy(policy)),
        there,
    )
    assert same.bound == pytest.approx(here.bound, abs=1e-10)
    with pytest.raises(tw.InputError, match="weights"):
        certify(
            Demonstrations(behaviour, values, choice_model, there=Linear(torch.eye(20).double())),
            Bob(policy.repeat(2, 1)),
            there,
        )


# --- Bob ---------------------------------------------------------------------------------------------------------


def test_a_posterior_loses_the_mean_of_its_policies():
    mdp = world(5)
    hers = reward(9, mdp)
    policies = torch.stack([mdp.optimal(reward(k, mdp)).policy for k in (10, 11, 12)])
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    mean = sum(float(w) * share(mdp, p, hers) for w, p in zip(weights, policies, strict=True))
    found = certify(KnownReward(hers), Bob(policies, weights=weights), mdp)
    assert found.exact == pytest.approx(mean, abs=1e-12) == found.realised
    lost = (mdp.optimal(hers).value - torch.einsum("k,ks->s", weights, mdp.evaluate(policies, hers))).max()
    assert found.per_start == pytest.approx(float(lost / mdp.return_range(hers)), abs=1e-12)
    behaviour, values, choice_model, theta = alice(11, 200)
    there = behaviour.environments[0]
    several = torch.stack([there.optimal(reward(k, there)).policy for k in range(3)])
    observed = certify(Demonstrations(behaviour, values, choice_model), Bob(several, weights=weights), there)
    mean = sum(float(w) * share(there, p, values.reward(theta, 3)) for w, p in zip(weights, several, strict=True))
    assert mean <= observed.bound
    assert mean <= observed.per_start
    for wrong in ([0.5, 0.5], [0.5, 0.6, -0.1]):
        with pytest.raises(tw.InputError, match="weights of Bob's 3 policies"):
            certify(KnownReward(hers), Bob(policies, weights=wrong), mdp)


def test_only_a_certified_learning_gap_certifies():
    mdp = world(6)
    hers, his = reward(13, mdp), reward(14, mdp)

    def learned(kind, reasons=()):
        gap = GeneralisationBound(
            raw=0.1, kind=kind, delta=0.02, assumptions=("levels are fresh",), terms={}, reasons=reasons
        )
        return certify(KnownReward(hers), Bob(reward=his, suboptimality=gap), mdp)

    found = learned("certified")
    assert found.lp == pytest.approx(tw.worst_regret(mdp, hers, his, 0.1).value)
    assert found.delta == 0.02
    assert "levels are fresh" in named(found, "suboptimality").words
    assert [a.name for a in learned("estimated").failed] == ["suboptimality"]
    assert "cut short" in learned("certified", ("cut short",)).failed[0].words


# --- his world ---------------------------------------------------------------------------------------------------


def test_a_mixture_of_levels_returns_their_mean():
    levels = [world(seed, states=3 + seed) for seed in range(3)]
    weights, rewards = [0.2, 0.5, 0.3], [reward(seed, level) for seed, level in enumerate(levels)]
    policies = [level.optimal(reward(7, level)).policy for level in levels]
    whole = mixture(levels, weights)
    parts = zip(weights, levels, policies, rewards, strict=True)
    mean = sum(w * float(level.regret(p, r)) for w, level, p, r in parts)
    assert float(whole.regret(torch.cat(policies), torch.cat(rewards))) == pytest.approx(mean, abs=1e-12)
    large = [gridworld(["." * 15] * 15, discount=0.9).mdp] * 2
    assert mixture(large).transitions is None
    assert float(mixture(large).start.sum()) == pytest.approx(1)
    with pytest.raises(tw.InputError, match="levels of one game"):
        mixture([levels[0], world(0, actions=2)])


@pytest.mark.parametrize("seed", range(4))
def test_drift_bounds_every_world_within_it(seed):
    mdp, rng = world(seed), np.random.default_rng(seed)
    hers = reward(20 + seed, mdp)
    his = hers + 0.1 * reward(30 + seed, mdp)
    policy = mdp.optimal(his).policy
    drift = ModelError(transitions=0.02, reward=0.01, bob_reward=0.01)
    bob = Bob(policy, his, 0.05)
    stated, found = certify(KnownReward(hers), bob, mdp), certify(KnownReward(hers), bob, mdp, model_error=drift)
    assert stated.bound < found.bound < 1
    assert sum(found.decomposition.values()) == pytest.approx(found.t1)
    for _ in range(20):
        apart = torch.as_tensor(rng.dirichlet(np.ones(6), size=(6, 3)))
        there = tw.MDP(mdp.transitions + 0.01 * (apart - mdp.transitions), mdp.start, mdp.discount)
        noise = [torch.as_tensor(rng.uniform(-0.01, 0.01, size=(6, 3))) for _ in range(2)]
        assert share(there, policy, hers + noise[0]) <= found.exact
        assert tw.worst_regret(there, hers + noise[0], his + noise[1], 0.05).value <= found.lp
    assert [a.name for a in certify(KnownReward(hers), bob, mdp, model_error=ModelError(transitions=0.5)).failed] == [
        "drift"
    ]
    with pytest.raises(tw.InputError, match="L1 distance"):
        certify(KnownReward(hers), bob, mdp, model_error=ModelError(transitions=2.5))


def test_a_coarse_description_pays_for_what_it_leaves_out():
    behaviour, values, choice_model, _ = alice(12, 300)
    coarse, rng = behaviour.environments[0], np.random.default_rng(0)
    fine, policy = Abstraction(torch.arange(10).repeat(2)), coarse.optimal(reward(1, coarse)).policy
    moves = (coarse.transitions[:, :, None] * torch.tensor([0.5, 0.5])[:, None]).reshape(10, 3, 20).repeat(2, 1, 1)
    there = tw.MDP(
        0.998 * moves + 0.002 * torch.as_tensor(rng.dirichlet(np.ones(20), size=(20, 3))),
        coarse.start.repeat(2) / 2,
        0.9,
    )
    gone = fine.transition_error(there, coarse).size
    assert gone > 0
    paid = certify(
        Demonstrations(behaviour, values, choice_model), Bob(policy), coarse, model_error=ModelError(transitions=gone)
    )
    features = Linear(values.features.repeat(2, 1))
    true = certify(
        Demonstrations(behaviour, values, choice_model, there=features), Bob(fine.pull_back_policy(policy)), there
    )
    free = certify(Demonstrations(behaviour, values, choice_model), Bob(policy), coarse)
    assert free.bound < paid.bound
    assert true.bound <= paid.bound


def test_a_sparse_world_is_certified_as_the_dense_one():
    grid = gridworld(["....C", ".##..", ".~~..", "....."], discount=0.9, slip=0.1)
    thin = from_rows(grid.mdp.dynamics.rows, grid.mdp.start, 0.9, dense=False)
    assert thin.transitions is None
    values, choice_model = Linear(torch.stack([grid.reward({x: 1.0}) for x in "C~"], -1)), Boltzmann(50.0)
    truth = grid.reward({"C": 1.0, "~": -0.5})
    seen = chosen(0, grid.mdp, choice_model.log_policy(grid.mdp, truth).exp(), 100)
    bob = Bob(grid.mdp.optimal(truth).policy, truth, 0.01)
    dense, sparse = (
        certify(Demonstrations(replace(seen, environments=(m,)), values, choice_model), bob, m)
        for m in (grid.mdp, thin)
    )
    for name in ("exact", "lp", "t1", "per_start"):
        assert getattr(sparse, name) == pytest.approx(getattr(dense, name), abs=1e-8), name


# --- what is of no use -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rewards", "told"),
    [
        (torch.tensor(1.0), "candidates: give one reward or more"),
        (torch.ones(3), "candidates: give one reward or more"),
        ([], "candidates: give one reward or more"),
        (5, "candidates: give one reward or more"),
        ([torch.arange(6.0), torch.ones(6, 2)], "candidate 1: reward has shape"),
        ([torch.arange(36.0).reshape(2, 6, 3)], "candidate 0: reward has shape \\(2, 6, 3\\), a batch"),
        ([torch.arange(6.0), torch.ones(6)], "candidate 1: the return range"),
    ],
)
def test_candidates_that_are_no_rewards_are_named(rewards, told):
    mdp = world()
    seen, bob = Behaviour((mdp,), torch.tensor([0, 1]), torch.tensor([0, 1])), Bob(torch.full((6, 3), 1 / 3))
    for fine in (torch.arange(6.0)[None], [torch.arange(6.0)], iter([torch.arange(6.0)])):
        assert certify(Candidates(seen, fine, Boltzmann(5.0)), bob, mdp).issued  # negative control
    with pytest.raises(tw.InputError, match=told):
        certify(Candidates(seen, rewards, Boltzmann(5.0)), bob, mdp)


@pytest.mark.parametrize("shape", [(0, 6, 3), (2, 2, 6, 3), (6, 0), (6,), ()])
def test_policies_without_rows_or_of_four_axes_are_named(shape):
    mdp, even = world(), torch.full((6, 3), 1 / 3)
    wrong = torch.full(shape, 1 / 3)
    with pytest.raises(tw.InputError, match="Bob's policy: policy has shape"):
        certify(KnownReward(reward(0, mdp)), Bob(wrong), mdp)
    for safe in (wrong, even[None]):
        with pytest.raises(tw.InputError, match="the safe policy: policy has shape"):
            certify(KnownReward(reward(0, mdp)), Bob(even), mdp, safe=safe)
    assert certify(KnownReward(reward(0, mdp)), Bob(even[None]), mdp, safe=even).issued


def test_policies_come_in_lists_and_from_networks():
    mdp, policy = world(), torch.softmax(reward(3, world()), -1)
    right = certify(KnownReward(reward(0, mdp)), Bob(policy), mdp, safe=policy).exact
    for same in (
        policy.tolist(),
        policy.numpy(),
        policy.clone().requires_grad_(),
    ):  # a list is not of single precision
        found = certify(KnownReward(reward(0, mdp).requires_grad_()), Bob(same), mdp, safe=same)
        assert (found.exact, found.slack < 1e-9) == (right, True)
        assert worst_context(mdp, [reward(0, mdp)], same)[0] == pytest.approx(right)
    assert certify(KnownReward(reward(0, mdp)), Bob(policy.float()), mdp).slack > 1e-9  # control


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (
            lambda m, r: certify(KnownReward(r.to_sparse()), Bob(reward=r, suboptimality=0.1), m),
            "reward is a sparse tensor",
        ),
        (
            lambda m, r: certify(KnownReward(r + 1j), Bob(reward=r, suboptimality=0.1), m),
            "reward holds complex numbers",
        ),
        (lambda m, r: certify(KnownReward(r), Bob(reward=r, suboptimality=np.ones(2)), m), "suboptimality has shape"),
        (
            lambda m, r: certify(KnownReward(r), Bob(reward=r, suboptimality=0.1), m, model_error=ModelError("0.1")),
            "model_error.transitions",
        ),
        (
            lambda m, r: certify(KnownReward(r), Bob(reward=r, suboptimality=0.1), m, model_error=0.1),
            "a float is no ModelError",
        ),
        (lambda m, r: certify(KnownReward(r), torch.full((6, 3), 1 / 3), m), "a Tensor is no Bob"),
        (lambda m, r: tw.worst_regret(m, r, r, None), "suboptimality is no array of numbers"),
        (lambda m, r: contextual_minimax_regret(m, 3.0), "rewards are a float"),
        (lambda m, r: tw.MDP(m.transitions, m.start, "0.9"), "discount is no array of numbers"),
    ],
)
def test_what_is_of_another_kind_is_one_line(make, told):
    mdp = world()
    with pytest.raises(tw.InputError, match=told):
        make(mdp, reward(0, mdp))


@pytest.mark.parametrize("seed", range(3))
def test_a_constant_leaves_candidates_as_likely_as_they_are(seed):
    """One choice, then a chain that pays the constant alone: 0.02 nats of 5,000 choices were its rounding."""
    rng = np.random.default_rng(seed)
    moves = np.tile(rng.dirichlet(np.ones(5), 6)[:, None], (1, 3, 1))
    moves[0] = rng.dirichlet(np.ones(5), 3)
    mdp = tw.MDP(np.concatenate([np.zeros((6, 3, 1)), moves], -1), np.eye(6)[0], 0.999999)
    hers = np.zeros((6, 3))
    hers[0] = [0, 0.95, 1]
    plain, shifted = (Boltzmann(50.0).log_policy(mdp, hers + c)[0] for c in (0.0, 1e6))
    assert 5000 * float((plain - shifted).abs().max()) < 1e-4


@pytest.mark.parametrize(("scale", "told"), [(1.7e308, "scale the features down"), (1e-320, "scale the features up")])
def test_features_whose_squares_are_no_numbers_are_named(scale, told):
    features = torch.eye(3, dtype=torch.float64)
    for fine in (1e-90, 1e90):
        assert Linear(fine * features).weights == 3
    with pytest.raises(tw.InputError, match=told):
        Linear(scale * features)


# --- what a review found -----------------------------------------------------------------------------------------


def test_a_policy_that_contradicts_its_learning_gap_is_no_bob():
    mdp = world(7)
    hers = reward(1, mdp)
    gap = GeneralisationBound(raw=0.01, kind="certified", delta=0.05, assumptions=(), terms={})
    found = certify(KnownReward(hers), Bob(mdp.worst(hers).policy, hers, gap), mdp)
    assert [a.name for a in found.failed] == ["suboptimality"]
    assert found.exact is None
    fine = certify(
        KnownReward(hers), Bob(mdp.optimal(hers).policy, hers, 0.0), mdp
    )  # his own optimum is within 0 of it
    assert fine.issued


def test_what_single_precision_leaves_over_is_not_earned():
    mdp = world(8, discount=0.99)
    hers, policy = reward(2, mdp), torch.full((6, 3), 1 / 3, dtype=torch.float64)
    true = certify(KnownReward(hers), Bob(policy), mdp).bound
    for offset in (10.0, 1000.0):
        found = certify(KnownReward(hers + offset), Bob(policy * 1.000009), mdp, safe=policy * 1.000009)
        assert found.bound == pytest.approx(true, abs=1e-6)
        assert found.beside_safe == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_as_many_rewards_as_states_and_actions_are_a_batch(seed):
    mdp = world(seed, states=3, actions=3)
    hers, his = torch.stack([reward(10 * seed + k, mdp) for k in range(3)]), reward(99, mdp)
    found = worst_regrets(mdp, hers, his, 0.1)
    for one, bound in zip(hers, found, strict=True):
        worst = tw.worst_regret(mdp, one, his, 0.1).value
        assert float(bound) == pytest.approx(worst * float(mdp.return_range(one)), abs=1e-6)
    assert torch.equal(mdp.optimal(Gains(hers)).value, torch.stack([mdp.optimal(one).value for one in hers]))
    assert contextual_minimax_regret(mdp, list(hers)).value <= 1
    assert Boltzmann(3.0).log_policy(mdp, Gains(hers)).shape == (3, 3, 3)


def test_the_smallest_grids_are_certified():
    grid = gridworld(["CX", ".."], discount=0.9, slip=0.1)
    values, choice_model = Linear(torch.stack([grid.reward({x: 1.0}) for x in "CX"], -1)), Boltzmann(20.0)
    truth = grid.reward({"C": 1.0, "X": -0.5})
    seen = chosen(0, grid.mdp, choice_model.log_policy(grid.mdp, truth).exp(), 100)
    bob = Bob(grid.mdp.optimal(truth).policy, truth, 0.1)
    found = certify(Demonstrations(seen, values, choice_model, reward=truth), bob, grid.mdp)
    assert found.realised <= found.exact <= found.lp <= found.t1


def test_a_set_that_the_data_empty_has_no_supremum():
    behaviour, values, choice_model, _ = alice(13, 100)
    mdp = behaviour.environments[0]
    likeliest = covered(behaviour, values, choice_model, 0.1).likelihood().max()
    for above in (0.05, 0.2, 0.5):
        alice_ = Demonstrations(behaviour, values, choice_model, 0.1, evidence=likeliest - np.log(0.1) + above)
        found = certify(alice_, Bob(torch.full((10, 3), 1 / 3)), mdp)
        assert not found.issued or found.bound > 0


def test_classes_that_say_less_than_they_seem_are_refused():
    behaviour, values, choice_model, _ = alice(14, 50)
    constant = Linear(torch.cat([values.features, torch.ones(10, 1)], 1))
    with pytest.raises(tw.InputError, match="changes no return in process 0"):
        covered(behaviour, constant, choice_model, 0.1)
    with pytest.raises(tw.InputError, match="give the class a bound"):
        covered(behaviour, values, Boltzmann(5.0, relative=False), 0.1)
    with pytest.raises(tw.InputError, match="sees no scale"):
        covered(behaviour, Linear(values.features, 2.0), choice_model, 0.1)


def test_a_feature_that_is_nowhere_in_his_world_leaves_a_bound():
    behaviour, values, choice_model, theta = alice(15, 400)
    mdp = behaviour.environments[0]
    there = Linear(torch.cat([values.features, torch.zeros(1, 3)])[:, :3] * torch.tensor([1.0, 1.0, 0.0]) + torch.cat(
        [torch.zeros(10, 3), torch.tensor([[0.0, 0.0, 1.0]])]))  # fmt: skip
    moves = torch.zeros(11, 3, 11, dtype=torch.float64)
    moves[:10, :, :10], moves[10, :, 10] = mdp.transitions, 1
    away = tw.MDP(moves, torch.cat([mdp.start, torch.zeros(1)]), 0.9)  # the third feature lives in state 10
    truth = there.reward(theta, 3)
    bob = Bob(away.optimal(truth).policy, truth, 0.05)
    found = certify(Demonstrations(behaviour, values, choice_model, there=there), bob, away)
    assert found.exact <= found.lp <= found.t1
    assert float(away.regret(bob.policy, truth, normalised=True)) <= found.exact


def test_a_range_of_rounding_is_no_distance():
    mdp = world(9, states=5)
    hers = reward(3, mdp)
    with pytest.raises(tw.InputError, match="range of Bob's reward is 0"):
        certify(KnownReward(hers), Bob(reward=1 + 1e-16 * hers, suboptimality=1e-3), mdp)
    for scale in (1e-12, 1e-9, 1e-6):
        his = 1 + scale * hers
        known = certify(KnownReward(hers), Bob(mdp.worst(hers).policy, his), mdp)
        assert known.exact == pytest.approx(1)
        assert known.lp == pytest.approx(1)
        loose = certify(KnownReward(hers), Bob(reward=his, suboptimality=1e-3), mdp)
        assert loose.lp == pytest.approx(1)
        assert loose.t1 >= loose.lp


def test_contexts_by_chance_worst_of_as_many_as_states_and_actions():
    mdp = world(10, states=2, actions=2)
    rewards = [reward(k, mdp) for k in (1, 2)]
    policy = mdp.worst(rewards[1]).policy
    assert worst_context(mdp, rewards, policy)[0] == pytest.approx(1)  # it is the worst by both
    assert 0 <= contextual_minimax_regret(mdp, rewards).value <= 1


def test_choices_where_nobody_comes_contradict_the_process():
    mdp = world(11, states=4)
    moves = torch.zeros(5, 3, 5, dtype=torch.float64)
    moves[:4, :, :4], moves[4, :, 4] = mdp.transitions, 1
    alone = tw.MDP(moves, torch.cat([mdp.start, torch.zeros(1)]), 0.9)
    features = Linear(torch.as_tensor(np.random.default_rng(0).normal(size=(5, 2))))
    for state, names in ((3, []), (4, ["data"])):
        seen = Behaviour((alone,), torch.tensor([0, 1, state]), torch.tensor([0, 1, 2]))
        found = certify(Demonstrations(seen, features, Boltzmann(5.0)), Bob(torch.full((5, 3), 1 / 3)), alone)
        assert [a.name for a in found.failed] == names
    assert "the first in state 4" in found.failed[0].words
