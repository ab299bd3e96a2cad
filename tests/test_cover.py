"""The cover of a confidence set against grids, brute force and its own promise."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

import thalweg as tw
from thalweg.certificates import BesideSafe, Composed, FromStarts, NearlyOptimal, Regret, covered, supremum
from thalweg.certificates.confidence_set._simplices import Cells, first_cells, split
from thalweg.certificates.confidence_set.cover import _cell_bounds, _Reader
from thalweg.irl import Boltzmann, Linear
from thalweg.recipes.alice_and_bob._alices import alice, bayes_bob


def likelihood(behaviour, values, choice_model, theta):
    total = 0.0
    for e, world in enumerate(behaviour.environments):
        reward = values.reward(theta, world.actions)
        total = total + (choice_model.log_policy(world, reward) * behaviour.counts(e)).sum((-1, -2))
    return total.numpy()


def directions(count, seed=0, weights=3):
    """Even on the octahedron: exponential magnitudes over their sum, random signs."""
    rng = np.random.default_rng(seed)
    sizes = rng.exponential(size=(count, weights))
    return sizes / sizes.sum(1, keepdims=True) * rng.choice([-1, 1], size=(count, weights))


@pytest.mark.parametrize("bound", [None, 2.0])
def test_cells_halve_the_class_and_its_prior(bound):
    points, cells = first_cells(3, bound)
    for _ in range(5):
        points, cells = split(points, cells)
    assert logsumexp(cells.share) == pytest.approx(0)
    at = points.values[cells.corners]
    assert len(np.unique(points.values, axis=0)) == len(points.values)
    if bound is None:
        np.testing.assert_allclose(np.abs(points.values).sum(1), 1)
        volume = np.linalg.norm(np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]), axis=1)
    else:
        volume = np.abs(np.linalg.det(at[:, 1:] - at[:, :1]))
    np.testing.assert_allclose(volume / volume.sum(), np.exp(cells.share))


@pytest.mark.parametrize(("environments", "relative"), [(1, True), (3, True), (1, False), (2, False)])
def test_bounds_on_a_cell_hold_everywhere_in_it(environments, relative):
    behaviour, values, _, _ = alice(3, 150, environments=environments)
    if not relative:
        values = Linear(values.features, bound=2.0)
    choice_model = Boltzmann(20.0 if relative else 1.0, relative)
    reader = _Reader(behaviour, values, choice_model)
    points, cells = first_cells(3, values.bound)
    rng, width, gaps = np.random.default_rng(0), len(cells.corners[0]), []
    for _ in range(10):
        found = _cell_bounds(points.values, cells, reader(points.values), relative)
        weights = rng.dirichlet(np.ones(width), size=(len(cells.corners), 40))
        inside = np.einsum("mkv,mvd->mkd", weights, points.values[cells.corners])
        truth = likelihood(behaviour, values, choice_model, inside.reshape(-1, 3)).reshape(len(inside), -1)
        assert (truth.max(1) <= found.most + 1e-9).all()
        means = logsumexp(truth, axis=1) - np.log(
            40
        )  # 40 draws of the mean likelihood, above a bound of it but for noise
        known = np.isfinite(found.mean)
        assert (truth.mean(1) - found.mean > -3 * truth.std(1) / 40**0.5 - 1e-9)[known].mean() > 0.99
        assert (means - found.mean)[known].mean() > 0
        gaps.append(float((found.most - found.mean)[known].mean()) if known.any() else np.inf)
        keep = rng.permutation(len(cells.corners))[:24]
        points, cells = split(points, Cells(cells.corners[keep], cells.share[keep]))
    assert gaps[-1] < 0.2 * min(gaps[2], 1e6)


def test_evidence_is_a_lower_bound_and_close():
    behaviour, values, choice_model, _ = alice(1, 200)
    cover = covered(behaviour, values, choice_model, 0.1)
    assert cover.complete
    draws = likelihood(behaviour, values, choice_model, directions(200_000))
    truth = logsumexp(draws) - np.log(len(draws))
    error = np.exp(draws - truth).std() / len(draws) ** 0.5
    assert cover.log_evidence < truth + 4 * error
    assert cover.log_evidence > truth - 1.0 - 4 * error
    kept = draws >= cover.threshold
    assert 0 < kept.mean() < 0.05


@pytest.mark.parametrize("environments", [1, 3])
def test_suprema_lie_above_every_member_of_the_set(environments):
    behaviour, values, choice_model, theta = alice(2, 200, environments=environments)
    cover, mdp = covered(behaviour, values, choice_model, 0.1), behaviour.environments[0]
    policy, reward = bayes_bob(cover, mdp)
    near = cover.points.values[cover.likelihood() >= cover.threshold].mean(0)
    members = np.concatenate([near + 0.1 * np.random.default_rng(0).normal(size=(20_000, 3)), theta[None]])
    members = members[likelihood(behaviour, values, choice_model, members) >= cover.threshold]
    assert len(members) > 200
    rewards = values.reward(members, mdp.actions)
    even = torch.full_like(policy, 1 / 3)
    occupancy, safe = mdp.occupancy(policy), mdp.occupancy(even)
    allowed = 0.02 * float(mdp.return_range(reward))
    lost = mdp.regret(policy, rewards).numpy()
    single = (mdp.optimal(rewards).value - mdp.evaluate(policy, rewards)).amax(1) / mdp.return_range(rewards)
    d = mdp.return_range(rewards / mdp.return_range(rewards)[:, None, None] - reward / mdp.return_range(reward))
    worst = [tw.worst_regret(mdp, r, reward, allowed).value for r in rewards[:40]]
    found = {}
    for name, quantity, truth in (
        ("exact", Regret(cover.reader.values, mdp, occupancy), lost / mdp.return_range(rewards).numpy()),
        ("starts", FromStarts(cover.reader.values, mdp, policy[None], torch.ones(1).double()), single.numpy()),
        (
            "safe",
            BesideSafe(cover.reader.values, mdp, occupancy, safe),
            lost / mdp.regret(safe / safe.sum(1, True), rewards).numpy(),
        ),
        ("lp", NearlyOptimal(cover.reader.values, mdp, reward, allowed), np.array(worst)),
        ("t1", Composed(cover.reader.values, mdp, reward, allowed), d.numpy() + 0.02),
    ):
        found[name] = supremum(cover, quantity)
        assert truth.max() <= found[name].bound + 1e-7, name
        assert found[name].attained <= found[name].bound <= 1.021 * found[name].attained + 1.1e-5, name
        assert truth.max() > 0.5 * found[name].bound, name
    assert found["exact"].bound <= found["lp"].bound * 1.021 <= found["t1"].bound * 1.05


@pytest.mark.parametrize("seed", range(12))
def test_it_holds_alice_and_bounds_what_bob_does_to_her(seed):
    behaviour, values, choice_model, theta = alice(100 + seed, 200, environments=1 + 2 * (seed % 2))
    cover, mdp = covered(behaviour, values, choice_model, 0.1), behaviour.environments[0]
    policy, _ = bayes_bob(cover, mdp)
    worst = supremum(cover, Regret(cover.reader.values, mdp, mdp.occupancy(policy)))
    assert likelihood(behaviour, values, choice_model, theta) >= cover.threshold
    realised = float(mdp.regret(policy, values.reward(theta, 3), normalised=True))
    assert realised <= worst.bound < 0.2


def test_a_smaller_budget_makes_the_set_larger_and_never_wrong():
    behaviour, values, choice_model, _ = alice(5, 200)
    full, short = (covered(behaviour, values, choice_model, 0.1, budget=budget) for budget in (50_000, 200))
    assert full.complete
    assert not short.complete
    assert short.log_evidence < full.log_evidence
    policy, _ = bayes_bob(full, behaviour.environments[0])
    mdp = behaviour.environments[0]
    one, other = (
        supremum(c, Regret(c.reader.values, mdp, mdp.occupancy(policy)), budget=0).bound for c in (full, short)
    )
    assert one < other <= 1
