"""Finite confidence sets and predicted evidence: exact truths, and what fails as it must."""

from itertools import product
from math import log

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import binomtest

import thalweg as tw
from thalweg.certificates import Regret, covered, finite_set, predicted_evidence, supremum
from thalweg.irl import Behaviour, Boltzmann, Linear
from thalweg.recipes.alice_and_bob._alices import alice

DELTA = 0.1
LEVEL = 1e-3  # of every binomial test
STATES, ACTIONS, FEATURES = 10, 3, 3  # of simulated Alices


def bandit(actions, states=1):
    """States that follow one another whatever is chosen."""
    return tw.MDP(np.full((states, actions, states), 1 / states), np.full(states, 1 / states), 0.0)


def often(misses, runs, chance=DELTA):
    """p-value of missing no more often than by chance."""
    return binomtest(int(misses), runs, chance, alternative="greater").pvalue


# what they compute


def test_the_evidence_and_the_set_by_hand():
    found = finite_set([0.0, -1.0, -6.0], DELTA)
    assert found.log_evidence == pytest.approx(log((1 + np.exp(-1) + np.exp(-6)) / 3))
    assert found.threshold == pytest.approx(found.log_evidence + log(0.1))
    assert found.keep.tolist() == [True, True, False]
    told = finite_set([-5000.0, -5001.0, -5006.0], DELTA, prior=[0.2, 0.3, 0.5])  # whose exponentials are 0
    assert told.log_evidence == pytest.approx(-5000 + log(0.2 + 0.3 * np.exp(-1) + 0.5 * np.exp(-6)))
    other = finite_set([0.0, -1.0, -6.0], DELTA, log_evidence=2.0)
    assert (other.log_evidence, other.threshold) == (2.0, 2.0 + log(0.1))
    assert other.keep.tolist() == [True, False, False]


def test_a_chance_of_zero_does_not_leave_a_candidate_out():
    found = finite_set([0.0, -1.0, -np.inf], DELTA, prior=[0.0, 1.0, 0.0])
    assert found.log_evidence == pytest.approx(-1.0)
    assert found.keep.tolist() == [True, True, False]  # nor does it keep one that cannot have chosen so


def test_an_evidence_of_nothing_keeps_all_that_is_possible():
    for given in ({"prior": [0.0, 1.0]}, {"log_evidence": -np.inf}):
        found = finite_set([-900.0, -np.inf], DELTA, **given)
        assert found.log_evidence == -np.inf
        assert found.keep.tolist() == [True, False]


def test_the_threshold_itself_is_in():
    edge = log(DELTA)
    assert finite_set([edge, np.nextafter(edge, -1e9)], DELTA, log_evidence=0.0).keep.tolist() == [True, False]


def test_predicted_evidence_is_the_product_of_past_guesses():
    behaviour, *_ = alice(0, 120, environments=2)
    rows = zip(behaviour.where.tolist(), behaviour.states.tolist(), behaviour.actions.tolist(), strict=True)
    seen, total = {}, 0.0
    for here, state, action in rows:
        counts = seen.setdefault((here, state), np.zeros(3))
        total += log((counts[action] + 0.5) / (counts.sum() + 1.5))
        counts[action] += 1
    assert predicted_evidence(behaviour) == pytest.approx(total, abs=1e-10)
    assert abs(predicted_evidence(behaviour) - predicted_evidence(behaviour.only(behaviour.where == 0))) > 1
    turned = Behaviour(
        behaviour.environments, *(x.flip(0) for x in (behaviour.states, behaviour.actions, behaviour.where))
    )
    assert predicted_evidence(turned) == pytest.approx(total, abs=1e-10)  # counts are all that matters
    assert predicted_evidence(behaviour.only(torch.zeros(120, dtype=torch.bool))) == 0.0


@pytest.mark.parametrize(("actions", "length"), [(2, 8), (3, 5)])
def test_the_chances_of_all_sequences_sum_to_one(actions, length):
    """What makes Z / exp l(truth) a martingale; the best fit, which looks ahead, sums to more."""
    mdp, logs, ahead = bandit(actions), [], []
    for chosen in product(range(actions), repeat=length):
        behaviour = Behaviour((mdp,), torch.zeros(length, dtype=torch.int64), torch.tensor(chosen))
        counts = behaviour.counts(0).numpy()
        logs.append(predicted_evidence(behaviour))
        ahead.append(float((counts * np.log(np.where(counts > 0, counts, 1) / length)).sum()))
    assert logsumexp(logs) == pytest.approx(0, abs=1e-12)
    assert logsumexp(ahead) > 1  # negative control


def test_predicted_evidence_costs_half_a_log_a_freedom():
    behaviour = Behaviour((bandit(2),), torch.zeros(10_000, dtype=torch.int64), torch.arange(10_000) % 2)
    lost = -10_000 * log(2) - predicted_evidence(behaviour)
    assert lost == pytest.approx(0.5 * log(10_000) + 0.5 * log(np.pi / 2), abs=1e-3)


@pytest.mark.parametrize(
    ("likelihoods", "given", "told"),
    [
        ([0.0, -1.0], {"delta": 0.0}, "delta 0.0"),
        ([0.0, -1.0], {"delta": 1.0}, "delta 1.0"),
        ([0.0, -1.0], {"delta": float("nan")}, "delta nan"),
        ([], {}, "shape"),
        (0.0, {}, "shape"),
        ([[0.0, -1.0]], {}, "shape"),
        ([0.0, float("nan")], {}, "NaN"),
        ([0.0, float("inf")], {}, "infinity"),
        ([-float("inf")] * 2, {}, "no candidate"),
        ([0.0, -1.0], {"prior": [0.5, 0.4]}, "sum to 1"),
        ([0.0, -1.0], {"prior": [1.5, -0.5]}, "sum to 1"),
        ([0.0, -1.0], {"prior": [1.0]}, "sum to 1"),
        ([0.0, -1.0], {"prior": [float("nan"), 1.0]}, "sum to 1"),
        ([0.0, -1.0], {"log_evidence": float("nan")}, "log_evidence"),
        ([0.0, -1.0], {"log_evidence": float("inf")}, "log_evidence"),
    ],
)
def test_bad_numbers_are_named(likelihoods, given, told):
    with pytest.raises(tw.InputError, match=told) as error:
        finite_set(likelihoods, **{"delta": DELTA, **given})
    assert "\n" not in str(error.value)


# what they promise: candidates


def simulated(seed, choices=2000, candidates=400, inverse_temperature=50.0):
    """An Alice in states drawn evenly, and candidates for her weights: her own, then others."""
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(STATES, 0.3), size=(STATES, ACTIONS))
    mdp, values = tw.MDP(moves, np.full(STATES, 1 / STATES), 0.9), Linear(rng.normal(size=(STATES, FEATURES)))
    thetas, choice_model = rng.normal(size=(candidates + 1, FEATURES)), Boltzmann(inverse_temperature)
    rewards = values.reward(thetas, ACTIONS)
    rewards = rewards / mdp.return_range(rewards)[:, None, None]
    logs, states = choice_model.log_policy(mdp, rewards), rng.integers(STATES, size=choices)
    edges = logs[0].exp().numpy().cumsum(1)[states]
    actions = (rng.random((choices, 1)) * edges[:, -1:] > edges).sum(1)
    behaviour = Behaviour((mdp,), torch.as_tensor(states), torch.as_tensor(actions))
    likelihoods = (logs * behaviour.counts(0)).sum((-1, -2)).numpy()
    return behaviour, values, choice_model, rewards, likelihoods


def certified(mdp, rewards, likelihoods):
    """Bob, best for the posterior mean; what each reward loses by him; and the largest loss in the set."""
    found = finite_set(likelihoods, DELTA)
    weights = torch.as_tensor(np.exp(likelihoods - logsumexp(likelihoods)))
    bob = mdp.optimal(torch.einsum("k,ksa->sa", weights, rewards)).policy
    return bob, float(mdp.regret(bob, rewards[torch.as_tensor(found.keep)]).max()), found.threshold


def test_candidates_certify_only_an_alice_among_them():
    """400 candidates and a truth between them: the largest regret in the set is below hers in a third of runs."""
    runs, off, on, out, false = 100, 0, 0, 0, []
    for seed in range(runs):
        behaviour, _, _, rewards, likelihoods = simulated(seed)
        mdp = behaviour.environments[0]
        for among in (False, True):
            part = slice(0, -1) if among else slice(1, None)
            bob, bound, threshold = certified(mdp, rewards[part], likelihoods[part])
            violated = float(mdp.regret(bob, rewards[0])) > bound + 1e-9
            if among:
                on += violated
                out += likelihoods[0] < threshold
            elif violated:
                off += 1
                false.append(seed)
    assert 0.2 < off / runs < 0.45
    assert often(off, runs) < LEVEL  # negative control: no such set certifies
    assert often(on, runs) > LEVEL
    assert often(out, runs) > LEVEL
    for seed in false[:4]:  # the cover of the continuous class holds on the very data where candidates failed
        behaviour, values, choice_model, rewards, likelihoods = simulated(seed)
        mdp = behaviour.environments[0]
        bob, bound, _ = certified(mdp, rewards[1:], likelihoods[1:])
        realised = float(mdp.regret(bob, rewards[0]))
        cover = covered(behaviour, values, choice_model, DELTA)
        worst = supremum(cover, Regret(cover.reader.values, mdp, mdp.occupancy(bob))).bound
        assert likelihoods[0] >= cover.threshold
        assert bound < realised <= worst < 0.1


# what they promise: any time to stop


class Watched:
    """Choosers between two actions, seen after every choice; their logits are drawn from the candidates, evenly."""

    def __init__(self, candidates=9, choices=300, runs=2000, seed=0):
        rng = np.random.default_rng(seed)
        chances = 1 / (1 + np.exp(-np.linspace(-2, 2, candidates)))  # Boltzmann, of a difference of rewards
        truth = rng.integers(candidates, size=runs)
        ones = (rng.random((runs, choices)) < chances[truth][:, None]).cumsum(1)
        times = np.arange(1, choices + 1)
        self.ones, self.runs, self.rows, self.truth = ones, runs, np.arange(runs), truth
        self.logs = ones[..., None] * np.log(chances) + (times - ones)[..., None] * np.log1p(-chances)
        self.own = np.take_along_axis(self.logs, truth[:, None, None], 2)[..., 0]
        self.evidence = logsumexp(self.logs, axis=2) - log(candidates)

    def misses(self, evidence=None, extra=0.0):
        """In how many runs the set ever leaves the truth out: it is asked where the truth comes nearest to it."""
        given = self.evidence if evidence is None else evidence
        nearest = (self.own - given).argmin(1)
        count = 0
        for row, t, truth in zip(self.rows, nearest, self.truth, strict=True):
            told = None if evidence is None and not extra else float(given[row, t]) + extra
            found = finite_set(self.logs[row, t], DELTA, log_evidence=told)
            assert found.log_evidence == pytest.approx(given[row, t] + extra, abs=1e-9)
            count += not found.keep[truth]
        return count

    def credible(self):
        """(R, T) whether the truth is out of the smallest set of 90 % of the posterior, after each choice."""
        posterior = np.exp(self.logs - logsumexp(self.logs, axis=2)[..., None])
        return np.where(self.logs > self.own[..., None], posterior, 0).sum(2) >= 1 - DELTA

    def predicted(self):
        """(R, T) of Krichevsky & Trofimov, choice by choice."""
        first = np.diff(self.ones, axis=1, prepend=0)
        past, times = self.ones - first, np.arange(self.ones.shape[1])
        return np.log((np.where(first == 1, past, times - past) + 0.5) / (times + 1)).cumsum(1)


@pytest.fixture(scope="module")
def watched():
    return Watched()


def test_a_credible_set_fails_whoever_stops_when_it_likes(watched):
    out = watched.credible()
    assert often(out[:, -1].sum(), watched.runs) > LEVEL  # at a time fixed beforehand it keeps its promise
    assert often(out.any(1).sum(), watched.runs) < LEVEL  # negative control
    assert out.any(1).mean() > 3 * DELTA
    assert often(watched.misses(), watched.runs) > LEVEL


def test_an_inflated_evidence_nearly_triples_the_failures(watched):
    true, inflated = watched.misses(), watched.misses(extra=1.0)
    assert often(true, watched.runs) > LEVEL
    assert often(inflated, watched.runs) < LEVEL  # negative control
    assert often(inflated, watched.runs, np.e * DELTA) > LEVEL  # e-fold is the most
    assert 2.2 < inflated / true < np.e * 1.2


def test_predicted_evidence_holds_at_all_times_too(watched):
    evidence = watched.predicted()
    for row in range(5):
        chosen = np.diff(watched.ones[row], prepend=0)
        behaviour = Behaviour((bandit(2),), torch.zeros(len(chosen), dtype=torch.int64), torch.as_tensor(chosen))
        assert predicted_evidence(behaviour) == pytest.approx(evidence[row, -1], abs=1e-9)
    true, inflated = watched.misses(evidence), watched.misses(evidence, extra=2.0)
    assert often(true, watched.runs) > LEVEL
    assert often(inflated, watched.runs) < LEVEL  # negative control
