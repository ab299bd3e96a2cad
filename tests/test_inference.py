"""Posteriors over values, against quadrature on grids of two weights."""

import math

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.irl import Behaviour, Boltzmann, Likelihood, Linear, Posterior, Soft, hmc, smc

RULES = {
    "directions": (None, Boltzmann(20.0)),
    "box": (1.0, Boltzmann(2.0, relative=False)),
    "soft": (1.0, Soft(0.3)),
}


def world(seed=0, states=4, actions=2):
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(states, 0.3), size=(states, actions))
    return tw.MDP(moves, np.full(states, 1 / states), 0.9)


def choices(mdps, values, choice_model, theta, count, seed=1):
    """Choices in states drawn uniformly, in each environment in turn."""
    own = torch.Generator().manual_seed(seed)
    where = torch.arange(count) % len(mdps)
    states = torch.randint(mdps[0].states, (count,), generator=own)
    laws = torch.stack([choice_model.log_policy(mdp, values.reward(theta, mdp.actions)).exp() for mdp in mdps])
    actions = torch.multinomial(laws[where, states], 1, generator=own)[:, 0]
    return Behaviour(tuple(mdps), states, actions, where)


def features(seed=0, states=4):
    return torch.as_tensor(np.random.default_rng(seed + 100).normal(size=(states, 2)))


def problem(kind, count=60, spread=0.0):
    bound, choice_model = RULES[kind]
    values = Linear(features(), bound)
    seen = choices([world()], values, choice_model, torch.tensor([0.3, -0.7]).double(), count)
    return Likelihood.of(seen, values, choice_model, spread=spread)


def grid(bound, fine=160):
    """Midpoints that are equally likely a priori."""
    if bound is None:
        t = (torch.arange(1000).double() + 0.5) / 1000
        return torch.cat([torch.stack([a * t, b * (1 - t)], -1) for a in (1, -1) for b in (1, -1)])
    t = bound * (2 * (torch.arange(fine).double() + 0.5) / fine - 1)
    return torch.cartesian_prod(t, t)


def quadrature(likelihood):
    """log Z, mean and covariance."""
    points = grid(likelihood.values.bound)
    value = torch.cat([likelihood(part) for part in points.split(10_000)])
    weight = torch.softmax(value, 0)
    mean = weight @ points
    off = points - mean
    return float(torch.logsumexp(value, 0)) - math.log(len(value)), mean, torch.einsum("n,ni,nj", weight, off, off)


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize(
    "how", [{}, {"move": "hmc", "particles": 100, "moves": 3}, {"schedule": [0.02, 0.1, 0.3, 1.0]}]
)
def test_evidence_and_moments_of_smc_are_those_of_quadrature(kind, how):
    likelihood = problem(kind)
    log_evidence, mean, covariance = quadrature(likelihood)
    found = smc(likelihood, **{"repeats": 12, "particles": 500, "seed": 3, **how})
    assert found.healthy
    assert found.log_evidence is not None
    assert abs(found.log_evidence.value - log_evidence) < 3.5 * found.log_evidence.stderr
    assert found.log_evidence.stderr < 0.1
    assert found.log_evidence.settings["label"] == "estimated"
    assert not found.log_evidence.settings["certifies"]
    own, spread = found.moments()
    error = (covariance.diagonal() / found.ess).sqrt()
    assert ((own - mean).abs() < 4.5 * error).all()
    assert torch.allclose(spread, covariance, rtol=0.1, atol=0.02)


def test_evidence_is_unbiased_over_many_small_runs():
    likelihood = problem("directions", 30)
    log_evidence, _, _ = quadrature(likelihood)
    found = smc(likelihood, particles=64, repeats=200, schedule=[0.1, 0.4, 1.0], moves=1)
    assert found.log_evidence is not None
    assert abs(found.log_evidence.raw - log_evidence) < 3.5 * found.log_evidence.stderr
    assert abs(found.log_evidence.raw + 0.5 - log_evidence) > 10 * found.log_evidence.stderr  # half a nat would show


def test_moments_of_hmc_are_those_of_quadrature():
    likelihood = problem("box")
    _, mean, covariance = quadrature(likelihood)
    found = hmc(likelihood, draws=300, burn_in=150, leapfrog_steps=2)
    assert found.healthy
    assert found.log_evidence is None
    own, spread = found.moments()
    assert ((own - mean).abs() < 4.5 * (covariance.diagonal() / min(found.ess, 300)).sqrt()).all()
    assert torch.allclose(spread, covariance, rtol=0.2, atol=0.02)


@pytest.mark.parametrize("bound", [None, 2.0])
def test_the_prior_is_uniform_on_its_class(bound):
    likelihood = Likelihood.of(choices([world()], Linear(features()), Boltzmann(1.0), torch.ones(2).double(), 0),
                               Linear(features(), bound), Boltzmann(1.0))  # fmt: skip
    draws = likelihood.place(torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0)).double())
    if bound is None:
        assert torch.allclose(draws.abs().sum(-1), torch.ones(40_000).double())
        shares = torch.histc(draws[:, 0], 20, -1, 1) / 40_000  # uniform along each edge, hence in each coordinate
    else:
        assert (draws.abs() <= bound).all()
        shares = torch.histc(draws[:, 0], 20, -bound, bound) / 40_000
    assert ((shares - 0.05).abs() < 4.5 * math.sqrt(0.05 / 40_000)).all()


def test_likelihood_of_several_environments_is_a_sum_and_has_its_gradient():
    values, choice_model = Linear(features(), 1.0), Boltzmann(2.0, relative=False)
    seen = choices([world(0), world(1)], values, choice_model, torch.tensor([0.5, 0.2]).double(), 40)
    whole = Likelihood.of(seen, values, choice_model)
    parts = [Likelihood.of(seen.only(seen.where == e), values, choice_model) for e in (0, 1)]
    at = torch.tensor([[0.3, -0.6], [0.7, 0.1]]).double().requires_grad_()
    total = whole(at)
    assert torch.allclose(total, parts[0](at) + parts[1](at), atol=1e-12)
    one_by_one = sum(  # by hand
        choice_model.log_policy(seen.environments[e], values.reward(at[0], 2))[s, a]
        for e, s, a in zip(seen.where, seen.states, seen.actions, strict=True)
    )
    assert abs(float((total[0] - one_by_one).detach())) < 1e-10
    (slope,) = torch.autograd.grad(total.sum(), at)
    step = 1e-6 * torch.eye(2).double()
    plain = at.detach()
    numeric = torch.stack([(whole(plain + h) - whole(plain - h)) / 2e-6 for h in step], -1)
    assert torch.allclose(slope, numeric, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", RULES)
def test_log_inverse_temperature_is_the_choice_models_own(kind):
    likelihood = problem(kind, spread=1.0)
    choice_model, at = likelihood.choice_model, torch.tensor([0.3, -0.7, 0.4], dtype=torch.float64)
    changed = Soft(0.3 * math.exp(-0.4)) if isinstance(choice_model, Soft) else None
    if isinstance(choice_model, Boltzmann):
        changed = Boltzmann(choice_model.inverse_temperature * math.exp(0.4), relative=choice_model.relative)
    assert changed is not None
    plain = Likelihood(likelihood.environments, likelihood.counts, likelihood.values, changed)
    assert abs(float(likelihood(at) - plain(at[:2]))) < 1e-9


def test_a_free_inverse_temperature_is_found():
    likelihood = problem("directions", 2000, spread=1.0)
    wrong = Likelihood(likelihood.environments, likelihood.counts, likelihood.values, Boltzmann(5.0), spread=1.0)
    found = smc(wrong, particles=400)
    mean, covariance = found.moments()
    assert abs(float(mean[2]) - math.log(4)) < 4 * float(covariance[2, 2].sqrt())
    assert float(covariance[2, 2].sqrt()) < 0.2


def test_answers_count_as_parts_of_choices():
    likelihood = problem("directions")
    world_, values, choice_model = likelihood.environments[0], likelihood.values, likelihood.choice_model
    true = torch.tensor([0.3, -0.7]).double()
    logs = choice_model.log_policy(world_, values.reward(true, 2)).clone()
    logs[2] = math.nan
    asked = Likelihood.of_answers(world_, logs, values, choice_model, weight=200.0)
    assert asked.asked
    assert abs(asked.choices - 600) < 1e-9
    points = grid(None)
    assert (
        float((points[asked(points).argmax()] - true).abs().max()) < 2e-3
    )  # Gibbs: cross-entropy is least at her own
    with pytest.raises(tw.InputError, match="state 1"):
        Likelihood.of_answers(world_, logs + torch.eye(4)[1][:, None].double(), values, choice_model, weight=1.0)


def test_rewards_are_divided_by_their_range_before_they_are_averaged():
    likelihood = problem("box")
    mdp = likelihood.environments[0]
    points = torch.tensor([[0.01, 0.0], [0.0, 1.0]]).double()  # a small one counts as much as a large one
    weights = torch.tensor([0.5, 0.5]).double()
    found = Posterior(likelihood, points, weights, torch.zeros(2).double(), 1.0, 500.0, tw.Verdict.HEALTHY, ())
    gains = likelihood.values.reward(points, 2)
    spans = [tw.return_range(mdp, gain) for gain in gains]
    wanted = sum(0.5 * gain / span for gain, span in zip(gains, spans, strict=True))
    assert torch.allclose(found.reward(mdp), wanted, atol=1e-9)
    raw = gains.mean(0)
    assert tw.reward_distance(mdp, raw, found.reward(mdp)) > 0.1  # the average of raw rewards is another one
    both = [tw.reward_distance(mdp, gain, gains[1]) for gain in gains]
    assert np.allclose(found.distances(mdp, gains[1], (0.1, 0.9)), sorted(both), atol=1e-9)


def test_distance_to_the_truth_shrinks_with_choices():
    bound, choice_model = RULES["directions"]
    values, true, medians = Linear(features(), bound), torch.tensor([0.3, -0.7]).double(), []
    for count in (20, 2000):
        seen = choices([world()], values, choice_model, true, count)
        found = smc(Likelihood.of(seen, values, choice_model), particles=300)
        medians.append(float(found.distances(world(), values.reward(true, 2))[1]))
    assert medians[1] < medians[0] / 3


def test_too_few_particles_give_a_reason_and_no_number():
    found = smc(problem("box", 3000), particles=16, repeats=4, schedule=[1.0], moves=1)
    assert not found.healthy
    assert found.reasons
    with pytest.raises(tw.UnhealthyError, match="take more particles"):
        found.moments()
    assert found.log_evidence is not None
    with pytest.raises(tw.UnhealthyError):
        _ = found.log_evidence.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": [0.5, 0.2, 1.0]}, "ascend"),
        ({"schedule": [0.5]}, "to 1"),
        ({"particles": 2}, "particles 2"),
        ({"repeats": 1}, "repeats 1"),
        ({"move": "jump"}, "'jump'"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(tw.InputError, match=words):
        smc(problem("box"), **change)


def test_features_that_do_not_fit_are_named():
    with pytest.raises(tw.InputError, match="do not fit"):
        Likelihood.of(problem("box").environments and Behaviour((world(),), torch.tensor([0]), torch.tensor([1])),
                      Linear(features(states=5)), Boltzmann(1.0))  # fmt: skip
