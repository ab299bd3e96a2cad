"""Certificates of two agents: from files to a number, or to the reason why there is none."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.certificates import STATEMENT, Bob, Known, Observed, certify
from thalweg.cli import main
from thalweg.recipes.alice_and_bob.alices import alice
from thalweg.rl.gridworld import gridworld
from thalweg.values import Behaviour, calibrate

EXAMPLES = Path(__file__).parent.parent / "examples" / "agents"
MAP = ["..G", "S#.", "..X"]


@pytest.fixture
def verb(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def place(tmp_path):
    for file in EXAMPLES.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


def test_the_example_is_certified(verb, place):
    code, out, _ = verb("certify", place / "alice.toml", place / "bob.toml", "--out", place / "c.html", "--json")
    found = json.loads(out)
    assert not code
    keys = ("bound", "exact", "lp", "t1", "confidence", "assumptions", "decomposition", "realised")
    assert all(key in found for key in keys)
    assert found["realised"] <= found["bound"] == found["exact"] < found["lp"] < found["t1"]
    assert found["bound"] < 0.05
    assert found["confidence"] == 0.95
    assert found["statement"].startswith(STATEMENT)
    assert sum(found["decomposition"].values()) == pytest.approx(found["t1"])
    assert STATEMENT[:40] in (place / "c.html").read_text()
    code, out, _ = verb("certify", place / "alice.toml", place / "bob.toml")
    assert not code
    assert STATEMENT in out


def test_another_deployment_has_no_number(verb, place):
    world = '[world]\ngrid = ["....C", ".##..", ".~~..", "....."]\ndiscount = 0.8\nslip = 0.1\n\n[values]'
    bob = (place / "bob.toml").read_text().replace("[values]", world)
    (place / "bob.toml").write_text(bob)
    code, out, _ = verb("certify", place / "alice.toml", place / "bob.toml", "--json")
    found = json.loads(out)
    assert code == 1
    assert found["bound"] is None is found["exact"]
    assert [a["name"] for a in found["assumptions"] if a["status"] == "failed"] == ["deployment"]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("alice.toml", "discount = 0.9", "discount = 1.0", "discount"),
        ("alice.toml", "slip = 0.1", "slip = 1.5", "slip"),
        ("alice.toml", '"....C", ', '"...C", ', "rows of equal length"),
        ("alice.toml", "alice.csv", "../alice.csv", "outside its folder"),
        ("alice.toml", "alice.csv", "nowhere.csv", "no such file"),
        ("alice.toml", 'features = ["C", "~"]', 'features = ["C", "Q"]', "'Q' is not on the map"),
        ("alice.toml", 'features = ["C", "~"]', 'features = ["C", "C"]', "sum of others"),
        ("alice.toml", "sharpness", "sharpnes", "choices.sharpness"),
        ("alice.csv", "state,action", "place,action", "give state and action"),
        ("alice.csv", "\n1", "\n99", "state 99"),
        ("alice.csv", "\n1", "\nx", "whole numbers"),
        ("bob.toml", "suboptimality_share = 0.02", "suboptimality_share = -1", "suboptimality_share"),
        ("bob.toml", "C = 1.0", "C = nan", "finite"),
        ("bob.toml", 'name = "Bob"', 'name = "Bob', "not TOML"),
        ("bob.toml", '"optimal"', '"array"', "no array 'array'"),
    ],
)
def test_bad_files_are_one_line(verb, place, file, old, new, told):
    text = (place / file).read_text()
    assert old in text
    (place / file).write_text(text.replace(old, new))
    out = place / "page.html"
    code, printed, error = verb("certify", place / "alice.toml", place / "bob.toml", "--out", out)
    assert code == 2, printed
    assert told in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_arrays_with_pickles_are_refused(verb, place):
    np.savez(place / "w.npz", transitions=np.array([object()], dtype=object), start=np.ones(1))
    (place / "bob.toml").write_text('[world]\narrays = "w.npz"\ndiscount = 0.9\n')
    code, _, error = verb("certify", place / "alice.toml", place / "bob.toml")
    assert code == 2
    assert "plain numbers" in error


def test_a_known_alice_orders_the_three_bounds():
    world = gridworld(MAP, discount=0.9, slip=0.1)
    reward, other = world.reward({"G": 1.0, "X": -1.0}), world.reward({"G": 1.0, "X": -0.4})
    policy = world.mdp.optimal(other).policy
    even = torch.full((world.mdp.states, 4), 0.25)
    found = certify(Known(reward), Bob(policy, other, 0.1), world.mdp, safe=even)
    assert found.delta == 0
    assert 0 <= found.exact <= found.lp <= found.t1
    assert found.lp == pytest.approx(tw.worst_regret(world.mdp, reward, other, 0.1).value)
    assert found.beside_safe < 1
    assert found.per_start == pytest.approx(found.exact)  # there is one first state
    alone = certify(Known(reward), Bob(even), world.mdp)
    assert (alone.lp, alone.t1) == (None, None)
    assert alone.bound == pytest.approx(float(world.mdp.regret(even, reward, normalised=True)))


def test_a_failed_assumption_means_no_number():
    behaviour, values, rule, theta = alice(0, 400)
    mdp = behaviour.environments[0]
    policy = mdp.optimal(values.reward(theta, 3)).policy
    drunk = Behaviour(behaviour.environments, behaviour.states, (behaviour.states + torch.arange(400)) % 3)
    tested = calibrate(drunk, values, rule)
    found = certify(Observed(drunk, values, rule, calibration=tested), Bob(policy), mdp)
    with pytest.raises(tw.UnhealthyError, match="do not follow the model"):
        _ = found.bound
    assert found.to_dict()["bound"] is None is found.to_dict()["exact"]
    reward = values.reward(theta, 3)
    lazy = certify(Observed(behaviour, values, rule), Bob(mdp.worst(reward).policy, reward, 0.01), mdp)
    assert [a.name for a in lazy.failed] == ["suboptimality"]


def test_what_is_not_known_is_asked_for():
    world = gridworld(MAP, discount=0.9)
    reward = world.reward({"G": 1.0})
    for bob, told in (
        (Bob(), "nothing is known of Bob"),
        (Bob(reward=reward), "suboptimality is not known"),
    ):
        with pytest.raises(tw.InputError, match=told):
            certify(Known(reward), bob, world.mdp)
    with pytest.raises(tw.InputError, match="return range of Alice's reward is 0"):
        certify(Known(torch.ones(world.mdp.states)), Bob(reward=reward, suboptimality=0.1), world.mdp)
