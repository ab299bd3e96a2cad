"""Hostile and broken agent files: one line that names what is wrong, exit code 2, and nothing half-written."""

import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.cli import main
from thalweg.values import Boltzmann

STATES, ACTIONS = 4, 2
RNG = np.random.default_rng(0)
MOVES, START = RNG.dirichlet(np.ones(STATES), size=(STATES, ACTIONS)), np.full(STATES, 1 / STATES)
REWARD, FEATURES = RNG.normal(size=(STATES, ACTIONS)), RNG.normal(size=(STATES, 2))
EVEN = np.full((STATES, ACTIONS), 1 / ACTIONS)
WORLD = '[world]\narrays = "w.npz"\ndiscount = 0.9\n'
KNOWN = WORLD + '[values]\narray = "reward"\n'
SEEN = WORLD + '[choices]\ndemonstrations = "a.csv"\nfeatures = "features"\nsharpness = 2.0\n'
POLICY, OWN = 'policy = "policy"\n', '[values]\narray = "reward"\n'


class Place:
    """A folder with two agents that are well, until something is written over."""

    def __init__(self, folder):
        self.folder = folder / "agents"
        self.folder.mkdir()
        self.page = folder / "page.html"
        self.write("alice.toml", KNOWN)
        self.write("bob.toml", POLICY)
        self.arrays()
        mdp, rng = tw.MDP(MOVES, START, 0.9), np.random.default_rng(1)
        chances = Boltzmann(2.0).log_policy(mdp, torch.as_tensor(FEATURES[:, 0])).exp()[:, 1].numpy()
        states = rng.integers(STATES, size=60)
        rows = [f"{s},{int(rng.random() < chances[s])}\n" for s in states]
        self.write("a.csv", "state,action\n" + "".join(rows))

    def write(self, name, told):
        (self.folder / name).write_bytes(told if isinstance(told, bytes) else told.encode())

    def arrays(self, **changed):
        given = {"transitions": MOVES, "start": START, "reward": REWARD, "features": FEATURES, "policy": EVEN}
        np.savez(self.folder / "w.npz", **(given | changed))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def verb(monkeypatch, capfd, place):
    def run():
        words = ["thalweg", "certify", place.folder / "alice.toml", place.folder / "bob.toml", "--out", place.page]
        monkeypatch.setattr(sys, "argv", [str(w) for w in words])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def refused(verb, place):
    def run(*told):
        before = sorted(place.folder.parent.rglob("*"))
        code, printed, error = verb()
        assert code == 2, printed
        assert error.count("\n") == 1, error
        assert error.startswith("thalweg: ")
        assert len(error) < 700
        for words in told:
            assert words in error
        assert not printed
        assert sorted(place.folder.parent.rglob("*")) == before

    return run


@pytest.mark.parametrize("alice", [KNOWN, SEEN])
def test_what_is_well_is_certified(verb, place, alice):  # negative control of all that follows
    place.write("alice.toml", alice)
    code, printed, error = verb()
    assert (code or 0, error) == (0, "")
    assert "t = " in printed
    assert place.page.exists()


TOO_MUCH = np.array([np.longdouble("1e4000")] * STATES)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"transitions": MOVES * 1.1}, "sums to 1.1"),
        ({"transitions": MOVES - np.array([2, -2, 0, 0])}, "no probability"),
        ({"transitions": MOVES * np.nan}, "'transitions' holds NaN"),
        ({"transitions": MOVES[:, :, :3]}, "give (S, A, S)"),
        ({"transitions": MOVES + 0j}, "'transitions' holds complex128"),
        ({"transitions": MOVES.astype(str)}, "'transitions' holds <U"),
        ({"transitions": np.zeros((4, 0, 4))}, "give (S, A, S)"),
        ({"start": np.ones(3) / 3}, "start has shape (3,)"),
        ({"start": np.array([1.5, -0.5, 0, 0])}, "start holds a number"),
        ({"reward": REWARD[:3]}, "Alice's reward: reward has shape (3, 2)"),
        ({"reward": np.stack([REWARD, REWARD])}, "Alice's reward has shape (2, 4, 2), a batch"),
        ({"reward": REWARD * np.nan}, "'reward' holds NaN"),
        ({"reward": REWARD * 1e308}, "overflow"),
        ({"reward": TOO_MUCH}, "'reward' holds NaN or infinity"),
        ({"reward": np.ones(STATES)}, "range of Alice's reward is 0"),
        ({"policy": EVEN[:3]}, "Bob's policy: policy has shape (3, 2)"),
        ({"policy": EVEN * 0.9}, "Bob's policy: policy at 0 sums to 0.9"),
        ({"policy": EVEN + np.array([1, -1])}, "Bob's policy: policy holds a number that is no probability"),
    ],
)
def test_arrays_that_are_no_process_are_named(refused, place, arrays, told):
    place.arrays(**arrays)
    refused(told)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"features": FEATURES[:3]}, "features (3, 2) do not fit"),
        ({"features": FEATURES[:, 0]}, "features of shape (4,)"),
        ({"features": np.zeros((STATES, 0))}, "features of shape (4, 0)"),
        ({"features": np.ones((STATES, 1))}, "of weights (1.000)"),
        ({"features": FEATURES * 1e300}, "overflow"),
    ],
)
def test_arrays_that_are_no_class_are_named(refused, place, arrays, told):
    place.write("alice.toml", SEEN)
    place.arrays(**arrays)
    refused(told)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("alice.toml", KNOWN.replace("0.9", '"0.9"'), "world.discount"),
        ("alice.toml", KNOWN.replace("0.9", "true"), "world.discount"),
        ("alice.toml", KNOWN.replace("0.9", "1e400"), "world.discount"),
        ("alice.toml", "world = []\n", "world: "),
        ("alice.toml", "name = 1\n" + KNOWN, "name: "),
        ("alice.toml", KNOWN + "more = 1\n", "values.more"),
        ("alice.toml", WORLD, "nothing is known of her values"),
        ("alice.toml", "", "no [world]"),
        ("alice.toml", b'name = "\x00"\n', "not TOML"),
        ("alice.toml", b'name = "\xff"\n', "not UTF-8"),
        ("alice.toml", "a = " + "[" * 100_000, "not TOML"),
        ("alice.toml", "suboptimality = " + "9" * 5000, "not TOML"),
        ("alice.toml", SEEN.replace("2.0", "0"), "sharpness 0"),
        ("alice.toml", SEEN.replace("2.0", "nan"), "choices.sharpness"),
        ("alice.toml", SEEN.replace("2.0", "inf"), "choices.sharpness"),
        ("alice.toml", SEEN.replace("2.0", "1e20"), "at most 1e+06"),
        ("alice.toml", SEEN + "delta = 0\n", "delta 0"),
        ("alice.toml", SEEN + "delta = 1\n", "delta 1"),
        ("alice.toml", SEEN + "delta = nan\n", "choices.delta"),
        ("alice.toml", SEEN + "relative = false\nbound = 0\n", "bound 0"),
        ("alice.toml", SEEN.replace('"features"', '["G"]'), "letters belong to a grid"),
        ("alice.toml", SEEN.replace('"features"', "[]"), "one letter"),
        ("bob.toml", "", "nothing is known of Bob"),
        ("bob.toml", OWN, "suboptimality is not known"),
        ("bob.toml", POLICY + "suboptimality = 0.1\n", "in units of his reward"),
        ("bob.toml", "suboptimality = inf\n" + OWN, "suboptimality"),
        ("bob.toml", "suboptimality = true\n" + OWN, "suboptimality"),
        ("bob.toml", "suboptimality = 0.1\n" + OWN.replace("reward", "start"), "range of Bob's reward is 0"),
    ],
)
def test_texts_that_are_no_agent_are_named(refused, place, file, text, told):
    place.write(file, text)
    refused(told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../w.npz", "outside its folder"),
        ("/etc/passwd", "outside its folder"),
        ("", "no such file"),
        ("w\\u0000.npz", "the name 'w\\x00.npz'"),
        ("w" * 5000, "the name 'www"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(refused, place, name, told):
    place.write("alice.toml", KNOWN.replace("w.npz", name))
    refused(told)


def _linked(path):
    (path.parent.parent / "outside.npz").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(path.parent.parent / "outside.npz")


def _looped(path):
    path.unlink()
    path.symlink_to(path.name)


def _piped(path):
    path.unlink()
    os.mkfifo(path)


def _member(name, told, mode="w"):
    def write(path):
        with zipfile.ZipFile(path, mode) as held:
            held.writestr(name, told)

    return write


def _headed(header):
    """An .npz of one array without data."""
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return _member("transitions.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def _shaped(shape):
    return _headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + shape + b",), }")


def _large(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held, held.open("a.npy", "w") as out:
        for _ in range(257):
            out.write(bytes(2**20))


def _flagged(offset, bits):
    """The first member with some bits of its header changed: encrypted, or packed by an unknown method."""

    def write(path):
        held = bytearray(path.read_bytes())
        for mark, place in ((b"PK\x01\x02", offset + 2), (b"PK\x03\x04", offset)):
            held[held.find(mark) + place] = bits
        path.write_bytes(bytes(held))

    return write


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (_linked, "outside its folder"),
        (_looped, "the name 'w.npz'"),
        (_piped, "no such file"),
        (lambda path: np.savez(path, transitions=np.array([{}], dtype=object), start=START), "plain numbers"),
        (lambda path: path.write_bytes(pickle.dumps({"start": START})), "plain numbers"),
        (lambda path: path.write_bytes(b""), "plain numbers"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "plain numbers"),
        (_large, "257 MiB unpacked"),
        (_flagged(6, 1), "plain numbers"),
        (_flagged(8, 99), "plain numbers"),
        (_member("transitions", b"text"), "plain numbers"),
        (_shaped(b"1000000000000000"), "cut short"),
        (_shaped(b"9" * 30), "cut short"),
        (_shaped(b"-1"), "plain numbers"),
        (_headed(b"(" * 9000), "plain numbers"),
        (_headed(b"__import__('os').mkdir('broken')"), "plain numbers"),
        (lambda path: np.savez(path, **{f"a{i}": START for i in range(2000)}), "there are 2000: a0"),
    ],
)
def test_archives_that_are_no_arrays_are_refused(refused, place, write, told):
    write(place.folder / "w.npz")
    refused(told)


def test_members_that_are_no_arrays_are_not_unpacked(refused, place):
    _member("../../evil.txt", b"x", "a")(place.folder / "w.npz")
    refused("plain numbers")
    assert not list(place.folder.parent.rglob("evil*")) + list(place.folder.parent.parent.glob("evil*"))


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (b"state,action\n1,0\x00\n", "line 2"),
        (b"state\x00,action\n1,0\n", "give state and action"),
        (b"state,action\n1,\xff\n", "not UTF-8"),
        (b"", "give state and action"),
        (b"state,action\n", "no choice is recorded"),
        (b"state,action\n-1,0\n", "state -1 of 4"),
        (b"state,action\n0,1\n4,0\n", "choice 1 of the behaviour: state 4 of 4"),
        (b"state,action\n0,2\n", "action 2 of 2"),
        (b"state,action\n1.5,0\n", "line 2"),
        (b"state,action\n1\n", "line 2"),
        (b"state,action\n1,0\n1,0,1\n", "line 3"),
        (b"state,action\n" + b"9" * 30 + b",0\n", "line 2"),
        (b"state,action\n" + b"1" * 200_000 + b",0\n", "line"),
        (b"state,state,action\n1,2,0\n", "each once"),
        (b"state,action\n1,0\x0b1,0\n", "line 2"),
    ],
)
def test_records_that_are_no_choices_are_named(refused, place, told, wrong):
    place.write("alice.toml", SEEN)
    place.write("a.csv", told)
    refused("a.csv", wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"transitions": MOVES[::-1]},
        {"start": np.eye(STATES)[0]},
        {"transitions": np.ones((1, 1, 1)), "start": np.ones(1), "policy": np.ones((1, 1))},
    ],
)
def test_another_deployment_is_a_failed_assumption(verb, place, changed):
    given = {"transitions": MOVES, "start": START, "policy": EVEN} | changed
    np.savez(place.folder / "other.npz", **given)
    place.write("bob.toml", POLICY + WORLD.replace("w.npz", "other.npz"))
    code, printed, error = verb()
    assert (code, error) == (1, "")
    assert "bob.toml is not the one that alice.toml declares" in printed
    assert "t = " not in printed
