"""One meaning of (S, A, S) everywhere, with as many states as actions too; `Gains` says that a batch is one."""

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.certificates import drifted
from thalweg.errors import InputError
from thalweg.irl import Boltzmann, Soft, implied_reward, prefers, reward_kind, worst_context
from thalweg.mdp import (
    KINDS,
    Abstraction,
    Gains,
    contextual_minimax_regret,
    dard_canonical,
    epic_canonical,
    levelled,
    project,
    regret_bound,
    worst_inversion,
    worst_regret,
)
from thalweg.recipes.alice_and_bob._alices import alice, bayes_bob

SIZE = 3
RNG = np.random.default_rng(0)
MDP = tw.MDP(RNG.dirichlet(np.ones(SIZE), size=(SIZE, SIZE)), np.full(SIZE, 1 / SIZE), 0.9)
WHOLE, OTHER = torch.as_tensor(RNG.normal(size=(2, SIZE, SIZE, SIZE)))
POLICY, SAFE = torch.softmax(torch.as_tensor(RNG.normal(size=(2, SIZE, SIZE))), -1)
SAME = Abstraction(torch.arange(SIZE))

BATCHED = {  # takes one reward of any shape, or a batch
    "optimal": lambda r: MDP.optimal(r).value,
    "worst": lambda r: MDP.worst(r).value,
    "soft optimal": lambda r: MDP.soft_optimal(r, 0.3).value,
    "evaluate": lambda r: MDP.evaluate(POLICY, r),
    "returns": lambda r: MDP.returns(POLICY, r),
    "action values": lambda r: MDP.action_values(POLICY, r),
    "range of the process": lambda r: MDP.return_range(r),
    "regret": lambda r: MDP.regret(POLICY, r, normalised=True),
    "return range": lambda r: tw.return_range(MDP, r),
    "levelled": lambda r: levelled(MDP, r),
    "project": lambda r: project(MDP, r),
    "Boltzmann": lambda r: Boltzmann(3.0).log_policy(MDP, r),
    "Soft": lambda r: Soft(0.3).log_policy(MDP, r),
    "pulled back": lambda r: MDP.mean_reward(SAME.pull_back(r)),
} | {kind: lambda r, kind=kind: tw.reward_distance(MDP, r, OTHER, kind) for kind in KINDS}
SINGLE = {  # takes one reward of any shape, and refuses a batch
    "plan": lambda r: tw.mdp.plan(MDP, r).value,
    "worst regret, hers": lambda r: worst_regret(MDP, r, OTHER, 0.1).value,
    "worst regret, his": lambda r: worst_regret(MDP, OTHER, r, 0.1).value,
    "inversion": lambda r: worst_inversion(MDP, r, OTHER),
    "bound": lambda r: regret_bound(MDP, r, OTHER),
    "bound by the norm": lambda r: regret_bound(MDP, r, OTHER, "starc"),
    "pushed forward": lambda r: SAME.push_forward(MDP, r).reward,
    "departure": lambda r: SAME.reward_error(MDP, r, MDP, OTHER).size,
    "mismatch": lambda r: SAME.model_error(MDP, r, MDP, OTHER).error,
    "drifted": lambda r: drifted(0.1, MDP, r, reward_drift=0.01).raw,
    "kind": lambda r: {"constant": 0.0, "matters": 1.0}[reward_kind(MDP, r)],
    "landscape": lambda r: regret_of(r),
}
LISTS = {  # takes a list of rewards
    "floor": lambda r: contextual_minimax_regret(MDP, r).lower,
    "worst context": lambda r: worst_context(MDP, r, POLICY),
    "prefers": lambda r: prefers(MDP, r, POLICY, SAFE),
}


def regret_of(reward):
    scape = tw.rl.regret_landscape(tw.rl.Tabular(SIZE, SIZE), MDP, reward=reward, n=10)
    return scape.losses(scape.params, scape.frozen, scape.data.inputs, scape.data.targets)


def close(found, wanted, **kind):
    return np.allclose(np.asarray(found, dtype=float), np.asarray(wanted, dtype=float), atol=1e-9, **kind)


@pytest.mark.parametrize("door", BATCHED | SINGLE)
def test_a_cube_is_one_reward_of_the_whole_step(door):
    take = (BATCHED | SINGLE)[door]
    assert close(take(WHOLE), take(MDP.mean_reward(WHOLE))) == (door not in ("epic", "dard"))  # these see s' too
    if door != "kind":
        assert not close(take(WHOLE), take(WHOLE[0]))  # it matters


@pytest.mark.parametrize("door", BATCHED)
def test_gains_are_a_batch_of_rewards(door):
    found = torch.as_tensor(BATCHED[door](Gains(WHOLE)))
    assert close(found, torch.stack([torch.as_tensor(BATCHED[door](one)) for one in WHOLE]))
    assert found.shape[0] == SIZE
    assert not close(found[0], found[1])


@pytest.mark.parametrize("door", SINGLE)
@pytest.mark.parametrize("batch", [Gains(WHOLE), torch.ones(2, SIZE, SIZE)])
def test_a_batch_is_refused_where_one_reward_is_meant(door, batch):
    with pytest.raises(InputError, match=r"batch|one reward"):
        SINGLE[door](batch)


@pytest.mark.parametrize("door", LISTS)
def test_a_list_of_rewards_is_a_list_however_it_is_given(door):
    take, wholes = LISTS[door], [WHOLE, OTHER]
    assert close(take(wholes), take([MDP.mean_reward(r) for r in wholes]))
    assert close(take(WHOLE), take(list(WHOLE)))
    assert close(take(Gains(WHOLE)), take(list(WHOLE)))
    assert door == "prefers" or not close(take(WHOLE), take([WHOLE]))
    with pytest.raises(InputError, match=r"reward 1 .*no batch"):
        take([OTHER, torch.ones(2, SIZE, SIZE)])


@pytest.mark.parametrize("form", [epic_canonical, dard_canonical])
def test_canonical_forms_of_a_batch(form):
    torch.testing.assert_close(form(MDP, Gains(WHOLE)), torch.stack([form(MDP, one) for one in WHOLE]))
    assert form(MDP, WHOLE).shape == (SIZE, SIZE, SIZE)


def test_other_cubes_are_refused_or_mean_a_batch():
    with pytest.raises(InputError, match="log probabilities have shape"):
        implied_reward(Soft(0.3), torch.log_softmax(WHOLE, -1))
    behaviour, values, choice_model, _ = alice(1, 60, states=3, actions=3, features=2)
    cover = tw.certificates.covered(behaviour, values, choice_model, 0.1)
    few = type(cover)(**{**vars(cover), "cells": type(cover.cells)(cover.cells.corners[:3], cover.cells.share[:3]),
                         "bounds": type(cover.bounds)(cover.bounds.most[:3], cover.bounds.mean[:3])})  # fmt: skip
    assert bayes_bob(few, behaviour.environments[0])[1].shape == (3, 3)
