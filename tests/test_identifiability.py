"""Directions of values that choices cannot tell, the learning coefficient of an agent, the radius it predicts."""

import math
from collections import Counter

import numpy as np
import pytest
import scipy.sparse
import torch

import thalweg as tw
from thalweg.irl import (
    Behaviour,
    Boltzmann,
    Likelihood,
    Linear,
    Soft,
    behaviour_llc,
    identifiability,
    predicted_radius,
    reward_kind,
)
from thalweg.irl._batched_likelihood import Scored
from thalweg.irl.llc import _losses
from thalweg.samplers import Engine

ABSOLUTE, RELATIVE = Boltzmann(3.0, relative=False), Boltzmann(10.0)


def world(seed=0, states=5, actions=2):
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    return tw.MDP(moves, np.full(states, 1 / states), 0.9)


def everywhere(mdp, times=200):
    """Each action in each state: what is visited is all that matters here."""
    pairs = torch.cartesian_prod(torch.arange(mdp.states), torch.arange(mdp.actions)).repeat(times, 1)
    return Behaviour((mdp,), pairs[:, 0], pairs[:, 1])


def unrestricted(mdp, bound=1.0):
    return Linear(torch.eye(mdp.states * mdp.actions).double().reshape(mdp.states, mdp.actions, -1), bound)


def kinds(found):
    return Counter(d.kind for d in found.directions)


@pytest.mark.parametrize(("bound", "choice_model", "scale"), [(1.0, ABSOLUTE, 0), (None, RELATIVE, 1)])
def test_an_unrestricted_reward_hides_constants_potentials_and_for_the_relative_rule_its_scale(
    bound, choice_model, scale
):
    mdp = world()
    likelihood = Likelihood.of(everywhere(mdp), unrestricted(mdp, bound), choice_model)
    theta = torch.as_tensor(np.random.default_rng(1).uniform(-1, 1, size=10))
    found = identifiability(likelihood, theta)
    expected = {"constant": 1, "shaping": 4, "seen": 5 - scale} | ({"scale": 1} if scale else {})
    assert kinds(found) == expected
    assert found.seen == 5 - scale
    for direction in found.directions:
        reward = likelihood.values.reward(direction.vector, 2)
        if direction.kind in ("constant", "shaping"):
            assert reward_kind(mdp, reward) == direction.kind
            assert abs(direction.information) < 1e-8
        moved = likelihood(theta + 0.01 * direction.vector) - likelihood(theta)
        assert (abs(float(moved)) < 1e-8) == (direction.kind in ("constant", "shaping", "scale"))
    if scale:
        assert abs(float(likelihood(1.7 * theta) - likelihood(theta))) < 1e-8
    vectors = torch.stack([d.vector for d in found.directions])
    assert torch.allclose(vectors @ vectors.T, torch.eye(10).double(), atol=1e-6)


def test_what_was_not_visited_is_said_to_be_so():
    mdp = world()
    seen = everywhere(mdp)
    theta = torch.as_tensor(np.random.default_rng(1).uniform(-1, 1, size=10))
    part = Likelihood.of(seen.only(seen.states != 3), unrestricted(mdp), ABSOLUTE)
    assert kinds(identifiability(part, theta)) == {"constant": 1, "shaping": 4, "not visited": 1, "seen": 4}
    hidden = next(d for d in identifiability(part, theta).directions if d.kind == "not visited")
    full = Likelihood.of(seen, unrestricted(mdp), ABSOLUTE)
    assert abs(float(part(theta + 0.01 * hidden.vector) - part(theta))) < 1e-8
    assert abs(float(full(theta + 0.01 * hidden.vector) - full(theta))) > 1e-3


def test_certain_choices_hide_a_direction_and_that_is_no_shaping():
    mdp = world()
    likelihood = Likelihood.of(everywhere(mdp), unrestricted(mdp), Boltzmann(2000.0, relative=False))
    found = identifiability(likelihood, torch.as_tensor(np.random.default_rng(1).uniform(-1, 1, size=10)))
    assert kinds(found)["flat"] >= 1
    assert kinds(found)["shaping"] == 4


def test_shaping_here_may_matter_elsewhere():
    mdp, other = world(0), world(7)
    theta = torch.as_tensor(np.random.default_rng(1).uniform(-1, 1, size=10))
    likelihood = Likelihood.of(everywhere(mdp), unrestricted(mdp), ABSOLUTE)
    assert identifiability(likelihood, theta, deployment=mdp).dangerous == ()
    dangerous = identifiability(likelihood, theta, deployment=other).dangerous
    assert [d.kind for d in dangerous] == ["shaping"] * 4
    assert all(d.stake is not None and d.stake > 1e-3 for d in dangerous)
    once = everywhere(mdp)
    where = torch.tensor([0, 1]).repeat_interleave(len(once))
    both = Behaviour((mdp, other), once.states.repeat(2), once.actions.repeat(2), where)
    two = identifiability(Likelihood.of(both, unrestricted(mdp), ABSOLUTE), theta, deployment=world(9))
    assert kinds(two) == {"constant": 1, "seen": 9}  # two dynamics tell all but a constant
    assert two.dangerous == ()


def test_kinds_of_rewards_of_the_whole_step():
    mdp = world()
    rng = np.random.default_rng(3)
    noise = torch.as_tensor(rng.normal(size=(5, 2, 5)))
    assert mdp.transitions is not None
    spread = noise - (mdp.transitions * noise).sum(-1, keepdim=True)
    height = torch.as_tensor(rng.normal(size=5))
    assert reward_kind(mdp, spread) == "redistribution"
    assert reward_kind(world(1), spread) == "matters"  # under these transitions alone
    assert reward_kind(mdp, 0.9 * height - height[:, None, None] + torch.zeros(5, 2, 5)) == "shaping"
    assert reward_kind(mdp, torch.ones(5)) == "constant"
    assert reward_kind(mdp, noise) == "matters"


def choices(mdp, values, choice_model, theta, count):
    own = torch.Generator().manual_seed(2)
    states = torch.randint(mdp.states, (count,), generator=own)
    law = choice_model.log_policy(mdp, values.reward(theta, mdp.actions)).exp()
    return Behaviour((mdp,), states, torch.multinomial(law[states], 1, generator=own)[:, 0])


def test_learning_coefficient_of_an_agent_is_that_of_quadrature():
    mdp = world(2)
    values = Linear(torch.as_tensor(np.random.default_rng(5).normal(size=(5, 2))), 1.0)
    theta = torch.tensor([0.4, -0.5], dtype=torch.float64)
    likelihood = Likelihood.of(choices(mdp, values, ABSOLUTE, theta, 3000), values, ABSOLUTE)
    found = identifiability(likelihood)
    assert found.seen == 2
    nbeta = 3000 / math.log(3000)
    line = torch.linspace(-1.0, 1.0, 201, dtype=torch.float64)
    offsets = torch.cartesian_prod(line, line)
    excess = torch.cat([likelihood(found.point) - likelihood(found.point + p) for p in offsets.split(5000)]) / 3000
    weight = torch.softmax(-nbeta * excess - offsets.square().sum(1) / 2, 0)
    exact = float(nbeta * (weight @ excess))
    width = 1 / math.sqrt(float(found.eigenvalues[-1]) / 3000 * nbeta)
    estimate = behaviour_llc(
        likelihood, found.point, sampler="hmc", draws=120, burn_in=20, leapfrog_steps=4, gamma=1.0, step_size=width**2
    )
    assert abs(estimate.value - exact) < 4 * estimate.stderr
    assert estimate.stderr < 0.15
    assert abs(exact - found.seen / 2) < 0.1
    assert abs(exact - 2 * found.seen / 2) > 4 * estimate.stderr  # twice as much would show

    unset = behaviour_llc(likelihood, found.point)
    assert abs(unset.value - exact) < 4 * unset.stderr
    assert unset.stderr < 0.07


def test_gradients_by_hand_are_those_of_autograd_each_of_its_own_point():
    worlds = (
        world(2),
        world(3),
        tw.MDP([scipy.sparse.csr_matrix(m) for m in np.eye(5)[[[1, 2, 3, 4, 0]] * 2]], np.eye(5)[0], 0.9),
    )
    rng = np.random.default_rng(5)
    features, where = torch.as_tensor(rng.normal(size=(5, 2, 3))), torch.arange(300) % 3
    seen = Behaviour(
        worlds, torch.as_tensor(rng.integers(5, size=300)), torch.as_tensor(rng.integers(2, size=300)), where
    )
    for choice_model, bound, spread in ((RELATIVE, None, 0.0), (RELATIVE, None, 0.5), (ABSOLUTE, 2.0, 0.5)):
        likelihood = Likelihood.of(seen, Linear(features, bound), choice_model, spread=spread)
        points = torch.as_tensor(rng.normal(size=(40, likelihood.width))).requires_grad_()
        scored = Scored(likelihood, points[0].detach())
        value, slope = scored(points.detach().numpy())
        exact = likelihood(points)
        (wanted,) = torch.autograd.grad(exact.sum(), points)
        np.testing.assert_allclose(value, exact.detach(), rtol=1e-10)
        np.testing.assert_allclose(slope, wanted, rtol=1e-8, atol=1e-8)
        alone = Scored(likelihood, points[0].detach())(points[7:8].detach().numpy())
        assert alone[0] == value[7]
        assert (alone[1] == slope[7]).all()
        other = Scored(likelihood.with_counts([c + 1 for c in likelihood.counts]), points[0].detach())
        assert not np.allclose(other(points.detach().numpy())[1], wanted, rtol=1e-3)


@pytest.mark.parametrize("choice_model", [RELATIVE, ABSOLUTE, Soft(0.4)])
def test_all_replicas_have_the_gradients_that_each_has_alone(choice_model):
    mdp = world(2)
    values = Linear(torch.as_tensor(np.random.default_rng(5).normal(size=(5, 3))))
    at = torch.tensor([0.4, -0.5, 0.1]).double()
    scape = _losses(Likelihood.of(choices(mdp, values, choice_model, at, 100), values, choice_model), at)
    moves = 0.2 * torch.as_tensor(np.random.default_rng(1).normal(size=(16, scape.layout.width)))
    with torch.inference_mode():
        slopes, found = Engine(scape, compiled=False).gradient({}, None)(moves)
    for move, slope, value in zip(moves, slopes, found, strict=True):
        open_ = move.clone().requires_grad_()
        alone = scape.losses({"move": open_}, {}, None, None).sum()
        np.testing.assert_allclose(value, alone.item(), rtol=1e-10)
        np.testing.assert_allclose(slope, torch.autograd.grad(alone, open_)[0], rtol=1e-7, atol=1e-10)
    assert not np.allclose(slopes[0], slopes[1], rtol=1e-2)  # each has its own
    with pytest.raises(tw.InputError, match="compile"):
        Engine(scape, compiled=True)


def test_the_scale_is_left_out_of_the_landscape_where_the_rule_is_relative():
    mdp = world(2)
    values = Linear(torch.as_tensor(np.random.default_rng(5).normal(size=(5, 3))))
    seen = choices(mdp, values, RELATIVE, torch.tensor([0.4, -0.5, 0.1]).double(), 100)
    assert _losses(Likelihood.of(seen, values, RELATIVE), [0.4, -0.5, 0.1]).layout.width == 2
    assert _losses(Likelihood.of(seen, values, ABSOLUTE), [0.4, -0.5, 0.1]).layout.width == 3


def test_predicted_radius_follows_the_exact_evidence():
    mdp = world(2)
    values = Linear(torch.as_tensor(np.random.default_rng(5).normal(size=(5, 2))), 1.0)
    theta = torch.tensor([0.4, -0.5], dtype=torch.float64)
    line = 2 * (torch.arange(200).double() + 0.5) / 200 - 1
    points, gaps = torch.cartesian_prod(line, line), []
    for count in (250, 4000):
        likelihood = Likelihood.of(choices(mdp, values, ABSOLUTE, theta, count), values, ABSOLUTE)
        value = torch.cat([likelihood(part) for part in points.split(10_000)])
        exact = float(value.max() - torch.logsumexp(value, 0)) + math.log(len(points)) + math.log(10)
        gaps.append(exact - predicted_radius(1.0, count, 0.1).nats)
    assert abs(gaps[1] - gaps[0]) < 0.5  # lambda log n grows by 2.8 nats
    assert predicted_radius(1.0, 250, 0.1).label == "predicted"


@pytest.mark.parametrize("wrong", [(-1.0, 10, 0.1), (1.0, 1, 0.1), (1.0, 10, 0.0), (math.nan, 10, 0.1)])
def test_a_radius_of_wrong_numbers_is_refused(wrong):
    with pytest.raises(tw.InputError, match="llc"):
        predicted_radius(*wrong)


def test_no_choices_tell_nothing():
    mdp = world()
    empty = Behaviour((mdp,), torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    with pytest.raises(tw.InputError, match="no choice"):
        identifiability(Likelihood.of(empty, unrestricted(mdp), ABSOLUTE))
