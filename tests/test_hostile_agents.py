"""Hostile and broken agent files: one line that names what is wrong, exit code 2, and nothing half-written."""

import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import thalweg as tw
from thalweg.agents import Agent
from thalweg.agents._archives import Stored
from thalweg.agents._toml import parsed
from thalweg.atlas import Section, report
from thalweg.certificates import certify_files
from thalweg.cli import main
from thalweg.irl import Boltzmann

STATES, ACTIONS = 4, 2
RNG = np.random.default_rng(0)
MOVES, START = RNG.dirichlet(np.ones(STATES), size=(STATES, ACTIONS)), np.full(STATES, 1 / STATES)
REWARD, FEATURES = RNG.normal(size=(STATES, ACTIONS)), RNG.normal(size=(STATES, 2))
EVEN = np.full((STATES, ACTIONS), 1 / ACTIONS)
WORLD = '[world]\narrays = "w.npz"\ndiscount = 0.9\n'
KNOWN = WORLD + '[values]\narray = "reward"\n'
SEEN = WORLD + '[choices]\ndemonstrations = "a.csv"\nfeatures = "features"\ninverse_temperature = 2.0\n'
ASKED = WORLD + '[answers]\nlog_policy = "policy"\ninverse_temperature = 1.0\n'
COUNTS = WORLD + '[choices]\ndemonstrations = "a.csv"\n'
SEVERAL = WORLD + '[choices]\ndemonstrations = "a.csv"\ncandidates = "several"\ninverse_temperature = 2.0\n'
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
        ({"policy": np.zeros((0, STATES, ACTIONS))}, "Bob's policy: policy has shape (0, 4, 2)"),
        ({"policy": np.stack([[EVEN]] * 2)}, "Bob's policy: policy has shape (2, 1, 4, 2)"),
        ({"policy": np.array(0.5)}, "Bob's policy: policy has shape ()"),
        ({"reward": np.array(1.0)}, "Alice's reward: reward has shape ()"),
        ({"transitions": np.zeros((600, 200, 600), dtype=np.uint8)}, "72,000,000 numbers"),
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
        ({"features": FEATURES / FEATURES.max() * 1.7e308}, "features of at most 1.7e+308"),
        ({"features": FEATURES * 1e-300}, "underflow: scale the features up"),
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
        ("alice.toml", SEEN.replace("2.0", "0"), "inverse_temperature 0"),
        ("alice.toml", SEEN.replace("2.0", "nan"), "choices.inverse_temperature"),
        ("alice.toml", SEEN.replace("2.0", "inf"), "choices.inverse_temperature"),
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
        ("alice.toml", KNOWN.replace("0.9", "-0.1"), "world.discount -0.1: give a number at least 0"),
        ("alice.toml", KNOWN.replace("0.9", "1"), "world.discount 1: give a number below 1"),
        ("alice.toml", SEEN + "delta = true\n", "choices.delta"),
        ("alice.toml", SEEN + "contexts = 0\n", "choices.contexts 0"),
        ("alice.toml", SEEN + "bound = 1.0\n", "choices.bound 1: a choice model relative to the range sees no scale"),
        ("alice.toml", SEEN + "relative = false\n", "give a bound of the weights"),
        (
            "alice.toml",
            ASKED.replace("inverse_temperature", "temperature").replace("1.0", "0"),
            "answers.temperature 0",
        ),
        ("alice.toml", "x = 0x" + "f" * 290 + "\n" + KNOWN, "x: nobody reads it"),
        (
            "bob.toml",
            POLICY + OWN + "[model_error]\ntransitions = 2.1\n",
            "model_error.transitions 2.1: give",
        ),
        ("bob.toml", POLICY + OWN + "[model_error]\nbob_reward = -1\n", "model_error.bob_reward -1"),
        ("bob.toml", POLICY + "suboptimality_share = 2\n" + OWN, "suboptimality_share 2"),
        ("bob.toml", f'name = "{"x" * 101}"\n' + POLICY, "name: "),
        ("bob.toml", POLICY + '"a\\nb" = 1\n', r"'a\nb': nobody reads it"),
        ("bob.toml", f'policy = "{"x" * 5000}"\n', "no array"),
        ("bob.toml", 'policy = "a\\nb"\n', r"no array "),
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


def _member(name, told, mode="w", packed=zipfile.ZIP_STORED):
    def write(path):
        with zipfile.ZipFile(path, mode, packed) as held:
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


def _more(path):
    """A megabyte behind the four numbers that the header tells of."""
    with zipfile.ZipFile(path) as held:
        told = held.read("start.npy")
    _member("start.npy", told + bytes(2**20), packed=zipfile.ZIP_DEFLATED)(path)


def _twice(path):
    with zipfile.ZipFile(path) as held:
        told = held.read("transitions.npy")
    with pytest.warns(UserWarning, match="Duplicate"):
        _member("transitions.npy", told, "a")(path)


def _changed(path):
    """One bit of the first number."""
    held = bytearray(path.read_bytes())
    held[held.find(b"\x93NUMPY") + 130] ^= 1
    path.write_bytes(bytes(held))


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
        (_shaped(b"0," + b"9" * 30), "plain numbers"),
        (_shaped(b"1," * 40), "plain numbers"),
        (_headed(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }"), "plain numbers"),
        (_more, "more than its header says"),
        (_twice, "two arrays are called transitions"),
        (_changed, "Bad CRC-32"),
        (_member("transitions.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff"), "plain numbers"),
        (_member("transitions.npy", b"", packed=zipfile.ZIP_LZMA), "packed as numpy does not"),
        (lambda path: np.savez(path, transitions=np.zeros(3, dtype=[("a", "f8"), ("b", "i4")])), "plain numbers"),
        (lambda path: np.savez(path, **{"a" * 60_000 + str(i): START for i in range(20)}), "bytes at once"),
        (lambda path: np.savez(path, **{f"a{i}": 0 for i in range(5000)}), "5,000 arrays"),
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
    ("told", "wrong"),
    [
        (b"state,action,weight\n1,0,1\n", "nobody reads column weight"),
        (b"state,action\n1," + b"0" * 2000 + b"\n", "line 2: more than 1,000 characters"),
        (b"state,action\n" + b"," * 2000 + b"\n", "line 2: more than 1,000 characters"),
        (b'state,action\n"1\n",0\n', "line 2"),
        (b'"state\n",action\n1,0\n', "line 1"),
    ],
)
def test_records_are_lines_of_what_is_read(refused, place, told, wrong):
    place.write("alice.toml", SEEN)
    place.write("a.csv", told)
    refused("a.csv", wrong)


# --- words that nobody reads -------------------------------------------------------------------------------------

SAFE, DRIFT, SHARE = 'safe = "even"\n', "[model_error]\ntransitions = 0.01\n", "suboptimality = 0.1\n"
READ = {  # negative control: where the same words stand in their place
    "safe, drift": (KNOWN, POLICY + SAFE + DRIFT),
    "suboptimality, bob_reward": (KNOWN, SHARE + OWN + "[model_error]\nbob_reward = 0.01\n"),
    "policy and values": (KNOWN, POLICY + OWN),
    "share": (KNOWN, "suboptimality_share = 0.1\n" + OWN),
    "weights": (KNOWN, 'policy = "several"\nweights = "halves"\n'),
    "answers": (ASKED.replace('"policy"', '"told"'), POLICY),
    "candidates": (SEVERAL.replace('"several"', '"rewards"') + '[values]\narray = "reward"\n', POLICY),
}
UNREAD = {
    "safe": (
        SAFE + KNOWN,
        POLICY,
        "alice.toml: safe: nobody reads it in Alice's file: it belongs in Bob's, bob.toml",
    ),
    "policy": (POLICY + KNOWN, POLICY, "alice.toml: policy"),
    "weights": ('weights = "halves"\n' + KNOWN, POLICY, "alice.toml: weights"),
    "suboptimality": (SHARE + KNOWN, POLICY, "alice.toml: suboptimality"),
    "share": ("suboptimality_share = 0.1\n" + KNOWN, POLICY, "alice.toml: suboptimality_share"),
    "drift": (KNOWN + DRIFT, POLICY, "alice.toml: model_error"),
    "no drift": (KNOWN + "[model_error]\n", POLICY, "alice.toml: model_error"),
    "choices and answers": (SEEN + ASKED[len(WORLD) :], POLICY, "answers: nobody reads them beside [choices]"),
    "values and answers": (KNOWN + ASKED[len(WORLD) :], POLICY, "values: nobody reads them beside [answers]"),
    "values and counts": (KNOWN + COUNTS[len(WORLD) :], POLICY, "values: nobody reads them beside counts"),
    "values and contexts": (SEEN + "contexts = 2\n" + OWN, POLICY, "values: nobody reads them beside contexts"),
    "relative counts": (COUNTS + "relative = true\n", POLICY, "choices.relative"),
    "bound of counts": (COUNTS + "bound = 1.0\n", POLICY, "choices.bound"),
    "bound of candidates": (SEVERAL + "relative = false\nbound = 1.0\n", POLICY, "choices.bound"),
    "contexts of candidates": (SEVERAL + "contexts = 2\n", POLICY, "contexts need features"),
    "slip of arrays": (KNOWN.replace("[world]", "[world]\nslip = 0.0"), POLICY, "world.slip"),
    "both rules": (ASKED + "temperature = 1.0\n", POLICY, "either inverse_temperature or temperature"),
    "his choices": (KNOWN, POLICY + SEEN[len(WORLD) :], "bob.toml: choices: nobody reads them in Bob's file"),
    "his answers": (KNOWN, POLICY + ASKED[len(WORLD) :], "they belong in Alice's, alice.toml"),
    "weights of nothing": (
        KNOWN,
        'weights = "halves"\n' + SHARE + OWN,
        "weights: nobody reads them without a policy",
    ),
    "weights of the best": (KNOWN, 'policy = "optimal"\nweights = "halves"\n' + OWN, 'beside policy = "optimal"'),
    "weights of one": (KNOWN, POLICY + 'weights = "halves"\n', "nobody reads them beside one policy"),
    "safe without a policy": (KNOWN, SAFE + SHARE + OWN, "safe: nobody reads it without a policy"),
    "reward of nobody": (KNOWN, POLICY + "[model_error]\nbob_reward = 0.0\n", "model_error.bob_reward"),
    "safe of counts": (COUNTS, POLICY + SAFE, "safe: nobody reads it where alice.toml gives counts"),
    "drift of counts": (COUNTS, POLICY + DRIFT, "model_error: nobody reads it where alice.toml gives counts"),
    "elsewhere": (
        KNOWN + "inverse_temperature = 1.0\n",
        POLICY,
        "values.inverse_temperature: nobody reads it here: it stands in [choices]",
    ),
    "too late": (KNOWN, OWN + POLICY, "values.policy: nobody reads it here: it stands before the first [section]"),
    "two shares": (KNOWN, SHARE + "suboptimality_share = 0.1\n" + OWN, "suboptimality_share"),
    "no one candidate": (SEVERAL.replace("several", "one"), POLICY, "candidates have shape ()"),
    "numbers as candidates": (SEVERAL.replace("several", "halves"), POLICY, "candidates have shape (2,)"),
    "several safe": (KNOWN, POLICY + 'safe = "several"\n', "the safe policy: policy has shape (2, 4, 2)"),
    "share of a batch": (KNOWN, "suboptimality_share = 0.1\n" + OWN.replace("reward", "rewards"), "a batch"),
    "best of a batch": (KNOWN, 'policy = "optimal"\n' + OWN.replace("reward", "rewards"), "a batch"),
    "an array that is called even": (
        KNOWN,
        POLICY + SAFE,
        "an array is called so",
        {"even": EVEN[:, ::-1] * [1.5, 0.5]},
    ),
    "an array that is called optimal": (
        KNOWN,
        'policy = "optimal"\n' + OWN,
        "an array is called so",
        {"optimal": EVEN},
    ),
}
MORE = {
    "several": np.stack([EVEN, EVEN]),
    "halves": np.array([0.5, 0.5]),
    "one": np.array(1.0),
    "rewards": np.stack([REWARD, -REWARD]),
    "told": np.log(EVEN + np.array([0.1, -0.1]) * np.sign(REWARD[:, :1])),
}


@pytest.mark.parametrize("kind", READ)
def test_words_in_their_place_are_read(verb, place, kind):
    alice, bob = READ[kind]
    place.arrays(**MORE)
    place.write("alice.toml", alice)
    place.write("bob.toml", bob)
    code, printed, error = verb()
    assert (code or 0, error) == (0, "")
    assert "t = " in printed or "exact" in printed


@pytest.mark.parametrize("kind", UNREAD)
def test_words_that_nobody_reads_are_named(refused, place, kind):
    alice, bob, told, *arrays = UNREAD[kind]
    place.arrays(**MORE, **(arrays[0] if arrays else {}))
    place.write("alice.toml", alice)
    place.write("bob.toml", bob)
    refused(told)


def test_contexts_that_were_recorded_and_are_not_asked_for_are_said(place):
    rows = (place.folder / "a.csv").read_text().splitlines()
    place.write("a.csv", "\n".join([rows[0] + ",context", *(row + ",0" for row in rows[1:])]))
    place.write("alice.toml", SEVERAL.replace("several", "rewards"))
    place.arrays(**MORE)
    found = certify_files(place.folder / "alice.toml", place.folder / "bob.toml")
    assert "one reward is in force in all" in next(a for a in found.assumptions if a.name == "contexts").words


def test_names_are_in_the_title(verb, place):
    place.write("bob.toml", 'name = "Robert"\n' + POLICY)
    assert not verb()[0]
    assert "Robert by the lights of alice" in place.page.read_text()


# --- what is large in the wrong way ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (".".join(["a"] * 50_000) + " = 1\n", "a key of 50,000 parts"),
        (" . ".join(['"a"'] * 50_000) + " = 1\n", "a key of 50,000 parts"),
        ("[" + ".".join(["a"] * 50_000) + "]\n", "a key of 50,000 parts"),
        ("a = " + "[" * 9_000 + "]" * 9_000, "brackets 9,000 deep"),
        ("a = " + "{a = " * 9_000, "brackets 9,000 deep"),
        ("".join(f"k{i} = 1\n" for i in range(30_000)), "30,000 keys"),
        ("a = 0x" + "f" * 10**6, "more than 300 characters"),
        ("a = 1." + "1" * 10**6, "more than 300 characters"),
        ('a = "' + "\\n" * 30_000 + '"', "30,001 keys"),
        ('a = """' + '""x' * 10**5, "not TOML"),
        ("#" * 2**22, "4.0 MiB: give at most 2"),
    ],
)
def test_texts_are_bounded_before_they_are_parsed(refused, place, monkeypatch, text, told):
    place.write("alice.toml", text)
    if told != "not TOML":
        monkeypatch.setattr("tomllib.loads", None)
    refused(told)


def test_marks_in_strings_and_comments_are_none(place):
    quoted = ['"%s"', "'%s'", '"""%s"""', "'''%s'''", '"""%s""""', "'''%s'''''"]
    for kind in quoted:
        told = kind % ("a.b.c.d.e.f.g.h.i.j [[[[[[[[[[ #" + "=" * 500)
        place.write("x.toml", f"a = [{told}, {told}]  # {told} {{{{{{{{{{{{{{{{{{{{\nb.c = 1\n")
        found = parsed(place.folder / "x.toml")
        assert set(found) == {"a", "b"}
        assert len(found["a"]) == 2


def test_only_what_is_named_is_read(place, monkeypatch):
    place.arrays(
        junk=np.zeros(10**6, dtype=np.uint8), reward=REWARD.astype(np.float32), whole=np.arange(4, dtype=">i2")
    )
    read = []
    stored = Stored.read
    monkeypatch.setattr(Stored, "read", lambda self: read.append(self.member) or stored(self))
    agent = Agent(place.folder / "alice.toml")
    assert agent.reward.dtype == torch.float32  # as precise as it was stored, and no more
    assert agent.reward.numpy().tobytes() == REWARD.astype(np.float32).tobytes()
    np.testing.assert_allclose(agent.mdp.transitions, MOVES, rtol=1e-15)  # rows are divided by their sums
    place.write("alice.toml", KNOWN.replace('"reward"', '"whole"'))
    assert Agent(place.folder / "alice.toml").reward.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert set(read) == {"transitions.npy", "start.npy", "reward.npy", "whole.npy"}


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_floats_are_what_was_stored(place, order, dtype):
    given = np.asarray(REWARD, dtype=dtype, order=order)
    place.arrays(reward=given)
    found = Agent(place.folder / "alice.toml").reward.numpy()
    assert found.dtype.itemsize == given.dtype.itemsize
    assert np.array_equal(found, given)


# --- where the page goes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["a folder", "below a file", "its place aside", "read-only"])
def test_a_place_that_takes_no_page_is_refused_before_anything_is_computed(refused, place, monkeypatch, kind):
    monkeypatch.setattr("thalweg.certificates.files.Bob", None)
    if kind == "a folder":
        place.page.mkdir()
    elif kind == "below a file":
        place.page = place.folder / "bob.toml" / "page.html"
    elif kind == "read-only":
        place.page = Path("/proc/page.html")  # where root cannot write either
    else:
        place.page.with_name("page.html.new").mkdir()
    refused("page.html")


def test_a_page_that_cannot_be_written_leaves_nothing(place, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left", "x")))
    with pytest.raises(OSError, match="no space"):
        report(place.page, "title", [Section("one")])
    assert not list(place.page.parent.glob("page.html*"))


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
