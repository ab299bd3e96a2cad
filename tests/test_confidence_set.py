"""Confidence sets of values: exact evidence, and three sets that look like one and are none."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import binom

import thalweg as tw
from thalweg.certificates import Regret, covered, finite_set, predicted_evidence, supremum
from thalweg.recipes.alice_and_bob.alices import alice
from thalweg.values import Behaviour

DELTA = 0.1
LEVEL = 1e-4  # of the binomial tests: a right set fails one in so many


def at_most(count, runs, chance):
    """Whether so many failures are compatible with a chance of at most this."""
    return binom.sf(count - 1, runs, chance) > LEVEL


def test_evidence_is_the_mean_likelihood():
    found = finite_set(np.log([0.2, 0.01, 0.3]), 0.1, prior=[0.5, 0.25, 0.25])
    assert found.log_evidence == pytest.approx(np.log(0.1 + 0.0025 + 0.075))
    assert found.threshold == pytest.approx(np.log(0.01775))
    assert found.keep.tolist() == [True, False, True]
    even = finite_set(np.log([0.2, 0.01, 0.3]), 0.1)
    assert even.log_evidence == pytest.approx(np.log(0.17))
    assert finite_set([-1e6, -1e6 - 1], 0.1).log_evidence == pytest.approx(-1e6 + np.log((1 + np.exp(-1)) / 2))
    assert finite_set([-3.0, -np.inf], 0.1).keep.tolist() == [True, False]
    assert finite_set([-3.0, -4.0], 0.1, prior=[0, 1]).log_evidence == -4
    assert finite_set([-3.0, -9.0], 0.1, log_evidence=-2.0).threshold == pytest.approx(-2 + np.log(0.1))


def test_a_predictor_of_counts_is_the_product_of_its_predictions():
    rng = np.random.default_rng(0)
    worlds = tuple(tw.MDP(rng.dirichlet(np.ones(3), size=(3, a)), np.ones(3) / 3, 0.9) for a in (2, 4))
    where = rng.integers(2, size=60)
    states, actions = rng.integers(3, size=60), np.array([rng.integers((2, 4)[e]) for e in where])
    seen, total = {}, 0.0
    for e, s, a in zip(where, states, actions, strict=True):
        counts = seen.setdefault((e, s), np.zeros((2, 4)[e]))
        total += np.log((counts[a] + 0.5) / (counts.sum() + len(counts) / 2))
        counts[a] += 1
    behaviour = Behaviour(worlds, *(torch.as_tensor(x) for x in (states, actions, where)))
    assert predicted_evidence(behaviour) == pytest.approx(total, abs=1e-10)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"likelihoods": [[0.0]]}, "shape"),
        ({"likelihoods": []}, "shape"),
        ({"likelihoods": [0.0, np.nan]}, "likelihoods"),
        ({"likelihoods": [0.0, 0.0], "prior": [0.5, 0.6]}, "sum to 1"),
        ({"likelihoods": [0.0, 0.0], "prior": [1.5, -0.5]}, "prior"),
        ({"likelihoods": [0.0], "delta": 1.0}, "delta 1.0"),
        ({"likelihoods": [0.0], "delta": 0.0}, "delta 0.0"),
    ],
)
def test_what_is_no_likelihood_is_refused(words, told):
    with pytest.raises(tw.InputError, match=told):
        finite_set(**{"delta": 0.1, **words})


def judged(seed):
    """For 400 candidates without Alice and with her: certificate and realised regret of some Bob; and the data."""
    behaviour, values, rule, theta = alice(seed, 2000)
    mdp, rng = behaviour.environments[0], np.random.default_rng(seed)
    candidates = rng.normal(size=(401, 3))
    candidates[400] = theta
    rewards = values.reward(candidates, mdp.actions)
    policy = mdp.optimal(values.reward(rng.normal(size=3), mdp.actions)).policy
    regrets = mdp.regret(policy, rewards, normalised=True)
    likelihoods = (rule.log_policy(mdp, rewards) * behaviour.counts(0)).sum((1, 2)).numpy()
    both = []
    for who in (slice(0, 400), slice(1, 401)):
        keep = torch.as_tensor(finite_set(likelihoods[who], DELTA).keep)
        both.append((float(regrets[who][keep].max()), float(regrets[400])))
    return *both, (behaviour, values, rule, policy)


def test_candidates_say_nothing_of_an_alice_between_them():
    runs = 200
    without, within, data = zip(*(judged(seed) for seed in range(runs)), strict=True)
    false = [k for k, (worst, realised) in enumerate(without) if realised > worst + 1e-12]
    assert not at_most(len(false), runs, DELTA)  # it takes her for one of them
    assert at_most(sum(realised > worst + 1e-12 for worst, realised in within), runs, DELTA)
    for k in false[:4]:  # the cover holds her, on the same data
        behaviour, values, rule, policy = data[k]
        cover, mdp = covered(behaviour, values, rule, DELTA), behaviour.environments[0]
        assert without[k][1] <= supremum(cover, Regret(values, mdp, mdp.occupancy(policy))).bound


def tossed(chances, truth, runs, steps, seed=0):
    """(runs, steps, K) log likelihoods of coins after each toss of one of them."""
    heads = np.random.default_rng(seed).random((runs, steps)) < chances[truth]
    ups = np.cumsum(heads, 1)[..., None]
    return ups * np.log(chances) + (np.arange(1, steps + 1)[:, None] - ups) * np.log1p(-chances)


def test_a_credible_set_is_false_for_who_may_stop_when_it_is():
    chances, truth, runs = np.linspace(0.3, 0.7, 41), 20, 200
    logs = tossed(chances, truth, runs, 400)
    posterior = np.exp(logs - logsumexp(logs, axis=2, keepdims=True))
    likelier = np.where(posterior > posterior[..., truth, None], posterior, 0).sum(2)
    excluded = (likelier >= 1 - DELTA).any(1).sum()  # the smallest set of 90 % leaves the truth out at some time
    assert excluded > 3 * DELTA * runs
    assert not at_most(excluded, runs, DELTA)
    ratio = logsumexp(logs, axis=2) - logs[..., truth]
    worst = ratio.argmax(1)
    missed = sum(not finite_set(logs[k, worst[k]], DELTA).keep[truth] for k in range(runs))
    assert at_most(missed, runs, DELTA)


def test_a_nat_too_much_of_evidence_nearly_triples_the_failures():
    chances, runs = np.array([0.5, 0.53]), 1000
    logs = tossed(chances, 0, runs, 4000)
    worst = (logs[..., 1] - logs[..., 0]).argmax(1)
    ends = logs[np.arange(runs), worst]
    exact = [finite_set(row, DELTA) for row in ends]
    inflated = [
        finite_set(row, DELTA, log_evidence=one.log_evidence + 1) for row, one in zip(ends, exact, strict=True)
    ]
    missed, more = (sum(not found.keep[0] for found in sets) for sets in (exact, inflated))
    assert at_most(missed, runs, DELTA)
    assert 2 < more / missed < 4
    assert not at_most(more, runs, DELTA)
