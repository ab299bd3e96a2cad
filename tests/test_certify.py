"""Certificates of two agents: from files to a number, or to the reason why there is none."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.certificates import STATEMENT, Bob, Demonstrations, KnownReward, certify, certify_files
from thalweg.cli import main
from thalweg.envs import gridworld
from thalweg.irl import Behaviour, Boltzmann, goodness_of_fit
from thalweg.recipes.alice_and_bob._alices import alice

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
    code, out, _ = verb("certify", place / "alice.toml", place / "bob.toml", "--out", place / "d.html")
    assert not code
    assert STATEMENT in out
    assert out.splitlines()[-1] == str((place / "d.html").resolve())


def test_python_and_the_command_certify_alike(verb, place):
    hers, his = place / "alice.toml", place / "bob.toml"
    asked = json.loads(verb("certify", hers, his, "--json")[1])
    asked.pop("seconds")
    assert asked == json.loads(json.dumps(certify_files(str(hers), his).to_dict()))
    his.write_text(his.read_text().replace("suboptimality_share = 0.02", "suboptimality_share = 0.03"))
    assert asked != json.loads(json.dumps(certify_files(hers, his).to_dict()))  # control: another Bob


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
        ("alice.toml", "inverse_temperature", "inverse_temperatur", "choices.inverse_temperatur:"),
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


def test_letters_are_worth_what_they_say_to_the_last_digit():
    """Of single precision they were worth .3 and 1e-8, or with a constant of 1e6 another reward."""
    world = gridworld(["....C", ".##..", ".~~..", "....."], discount=0.9, slip=0.1)
    assert world.reward({"~": -0.3}).unique().tolist() == [-0.3, 0.0]
    plain, bob = world.reward({"C": 1.0, "~": -0.3}), world.reward({"C": 1.0})
    moved = world.reward({"C": 1e6 + 1, "~": 1e6 - 0.3, ".": 1e6})
    found, same = (certify(KnownReward(r), Bob(reward=bob, suboptimality=0.1), world.mdp) for r in (plain, moved))
    assert same.lp == pytest.approx(found.lp, abs=same.slacks["lp"] + 1e-9)


def test_a_known_alice_orders_the_three_bounds():
    world = gridworld(MAP, discount=0.9, slip=0.1)
    reward, other = world.reward({"G": 1.0, "X": -1.0}), world.reward({"G": 1.0, "X": -0.4})
    policy = world.mdp.optimal(other).policy
    even = torch.full((world.mdp.states, 4), 0.25)
    found = certify(KnownReward(reward), Bob(policy, other, 0.1), world.mdp, safe=even)
    assert found.delta == 0
    assert 0 <= found.exact <= found.lp <= found.t1
    assert found.lp == pytest.approx(tw.worst_regret(world.mdp, reward, other, 0.1).value)
    assert found.beside_safe < 1
    lossless = certify(KnownReward(reward), Bob(policy, other, 0.1), world.mdp, safe=world.mdp.optimal(reward).policy)
    assert lossless.beside_safe is None
    assert "safe policy" in lossless.tighter[-1]
    assert not any("safe policy" in words for words in found.tighter)
    assert found.per_start == pytest.approx(found.exact)  # there is one first state
    alone = certify(KnownReward(reward), Bob(even), world.mdp)
    assert (alone.lp, alone.t1) == (None, None)
    assert alone.bound == pytest.approx(float(world.mdp.regret(even, reward, normalised=True)))


def test_a_failed_assumption_means_no_number():
    behaviour, values, choice_model, theta = alice(0, 400)
    mdp = behaviour.environments[0]
    policy = mdp.optimal(values.reward(theta, 3)).policy
    drunk = Behaviour(behaviour.environments, behaviour.states, (behaviour.states + torch.arange(400)) % 3)
    tested = goodness_of_fit(drunk, values, choice_model)
    found = certify(Demonstrations(drunk, values, choice_model, goodness_of_fit=tested), Bob(policy), mdp)
    with pytest.raises(tw.UnhealthyError, match="do not follow the model"):
        _ = found.bound
    assert found.to_dict()["bound"] is None is found.to_dict()["exact"]
    reward = values.reward(theta, 3)
    lazy = certify(Demonstrations(behaviour, values, choice_model), Bob(mdp.worst(reward).policy, reward, 0.01), mdp)
    assert [a.name for a in lazy.failed] == ["suboptimality"]


def test_what_is_not_known_is_asked_for():
    world = gridworld(MAP, discount=0.9)
    reward = world.reward({"G": 1.0})
    for bob, told in (
        (Bob(), "nothing is known of Bob"),
        (Bob(reward=reward), "suboptimality is not known"),
    ):
        with pytest.raises(tw.InputError, match=told):
            certify(KnownReward(reward), bob, world.mdp)
    with pytest.raises(tw.InputError, match="return range of Alice's reward is 0"):
        certify(KnownReward(torch.ones(world.mdp.states)), Bob(reward=reward, suboptimality=0.1), world.mdp)


def written(place, alice_text, bob_text, **arrays):
    """Two files and the arrays beside them."""
    np.savez(place / "held.npz", **arrays)
    (place / "alice.toml").write_text(alice_text)
    (place / "bob.toml").write_text(bob_text)
    return place / "alice.toml", place / "bob.toml"


@pytest.fixture
def grid():
    return gridworld(["....C", ".##..", ".~~..", "....."], discount=0.9, slip=0.1)


WORLD = 'arrays = "held.npz"\n[world]\ngrid = ["....C", ".##..", ".~~..", "....."]\ndiscount = 0.9\nslip = 0.1\n'


def test_candidates_answers_and_counts_in_files(verb, place, grid):
    rewards = torch.stack([grid.reward({"C": 1.0, "~": x}) for x in (-0.3, -0.2, 0.5)])
    choice_model = Boltzmann(50.0)
    arrays = {"several": rewards.numpy(), "told": choice_model.log_policy(grid.mdp, rewards[0]).numpy()}
    best = grid.mdp.optimal(rewards[1]).policy
    arrays |= {"one": best.numpy(), "two": torch.stack([best, grid.mdp.optimal(rewards[2]).policy]).numpy()}
    arrays["halves"] = np.array([0.5, 0.5])
    choices = '[choices]\ndemonstrations = "alice.csv"\n'
    kinds = {
        "candidates": choices + 'candidates = "several"\ninverse_temperature = 50.0\n',
        "log probabilities": '[answers]\nlog_policy = "told"\ninverse_temperature = 50.0\n',
    }
    for name, text in kinds.items():
        files = written(place, WORLD + text, 'policy = "one"\n', **arrays)
        code, out, error = verb("certify", *files, "--json")
        found = json.loads(out)
        assert not code, error
        assert name in [a["name"] for a in found["assumptions"]]
        true = float(grid.mdp.regret(best, rewards[0], normalised=True))
        assert true - 1e-9 <= found["bound"] < 0.05
    bob = 'policy = "two"\nweights = "halves"\nsafe = "even"\n[model_error]\nreward = 0.001\n'
    posterior = written(place, WORLD + kinds["log probabilities"], bob, **arrays)
    found = json.loads(verb("certify", *posterior, "--json")[1])
    mean = sum(float(grid.mdp.regret(p, rewards[0], normalised=True)) / 2 for p in torch.as_tensor(arrays["two"]))
    assert found["bound"] > mean
    assert "differ by at most" in next(a["words"] for a in found["assumptions"] if a["name"] == "deployment")
    counted = written(place, WORLD + choices, 'policy = "one"\n', **arrays)
    code, out, _ = verb("certify", *counted, "--json")
    assert code == 1  # 400 choices do not show the range of any reward
    assert json.loads(out)["bound"] is None
    for text, told in (
        (choices + "inverse_temperature = 1.0\n", "features or candidates"),
        (
            choices + 'features = ["C"]\ncandidates = "several"\ninverse_temperature = 1.0\n',
            "either features or candidates",
        ),
        ('[answers]\nlog_policy = "told"\n', "either inverse_temperature or temperature"),
        ('[answers]\nlog_policy = "one"\ninverse_temperature = 2.0\n', "log probabilities"),
    ):
        code, _, error = verb("certify", *written(place, WORLD + text, 'policy = "one"\n', **arrays))
        assert code == 2
        assert told in error


def test_a_rule_that_cannot_be_tested_is_asked_for_by_name(verb, place):
    (place / "alice.csv").write_text("state,action\n" + "9,3\n" * 8)
    files = place / "alice.toml", place / "bob.toml"
    code, out, _ = verb("certify", *files)
    assert code == 1
    assert "--untested" in out
    code, out, _ = verb("certify", *files, "--untested")
    assert not code
    assert out.startswith("The rule by which Alice is said to choose was not tested (untestable: ")
    text = (place / "alice.toml").read_text().replace("[choices]", "[choices]\nuntested = true")
    (place / "alice.toml").write_text(text)
    assert json.loads(verb("certify", *files, "--json")[1])["statement"].startswith("The rule by which Alice is said")


def test_shards_in_files(verb, place, grid):
    rng, choice_model, rows = np.random.default_rng(0), Boltzmann(50.0), ["state,action,context"]
    policies = [choice_model.log_policy(grid.mdp, grid.reward({"C": 1.0, "~": x})).exp().numpy() for x in (-0.5, 0.4)]
    for k in range(600):
        state = int(rng.integers(grid.mdp.states))
        chances = policies[k % 2][state]
        rows.append(f"{state},{rng.choice(4, p=chances / chances.sum())},{k % 2}")
    (place / "alice.csv").write_text("\n".join(rows))
    text = '[choices]\ndemonstrations = "alice.csv"\nfeatures = ["C", "~"]\ninverse_temperature = 50.0\n'
    bob = 'policy = "optimal"\n[values]\ncells = { C = 1.0 }\n'
    found = json.loads(verb("certify", *written(place, WORLD + text + "contexts = 2\n", bob), "--json")[1])
    assert found["confidence"] == pytest.approx(0.95)
    assert {a["name"] for a in found["assumptions"]} >= {"contexts", "rule [0]", "rule [1]"}
    policy = grid.mdp.optimal(grid.reward({"C": 1.0})).policy
    worst = max(float(grid.mdp.regret(policy, grid.reward({"C": 1.0, "~": x}), normalised=True)) for x in (-0.5, 0.4))
    assert worst <= found["bound"] < 1
    code, out, _ = verb("certify", *written(place, WORLD + text, bob), "--json")
    assert code == 1  # one reward does not explain both contexts
    assert [a["name"] for a in json.loads(out)["assumptions"] if a["status"] == "failed"] == ["rule tested"]
