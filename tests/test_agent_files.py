"""Agent files that are wrong or hostile: one line that names the thing, exit code 2, and nothing left behind."""

import os
import pickle
import struct
import sys
import zipfile

import numpy as np
import pytest

from thalweg.cli import main

RNG = np.random.default_rng(0)
MOVES = np.zeros((4, 2, 4))
MOVES[:3, :, :3] = RNG.dirichlet(np.ones(3), size=(3, 2))
MOVES[3, :, 3] = 1  # which nobody reaches
HELD = {
    "transitions": MOVES,
    "start": np.array([1, 1, 1, 0]) / 3,
    "r": np.array([0.0, 1.0, 2.0, 0.0]),
    "p": np.full((4, 2), 0.5),
    "f": RNG.normal(size=(4, 2)),
}
ROWS = "state,action\n" + "\n".join(f"{RNG.integers(3)},{RNG.integers(2)}" for _ in range(40)) + "\n"
WORLD = '[world]\narrays = "w.npz"\ndiscount = 0.9\n'
KNOWN = WORLD + '[values]\narray = "r"\n'
SEEN = WORLD + '[choices]\ndemonstrations = "c.csv"\nfeatures = "f"\nsharpness = 5.0\ndelta = 0.05\n'
BOB = 'policy = "p"\n'


@pytest.fixture
def certify(monkeypatch, capsys, tmp_path):
    def run(alice=KNOWN, bob=BOB, rows=ROWS, **changed):
        for name, text in (("alice.toml", alice), ("bob.toml", bob), ("c.csv", rows)):
            if text is not None:
                (tmp_path / name).write_text(text)
        if not (tmp_path / "w.npz").exists():
            np.savez(tmp_path / "w.npz", **{k: v for k, v in {**HELD, **changed}.items() if v is not None})
        files = set(os.listdir(tmp_path))
        words = ["thalweg", "certify", str(tmp_path / "alice.toml"), str(tmp_path / "bob.toml")]
        monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "o.html")])
        with pytest.raises(SystemExit) as end:
            main()
        out, error = capsys.readouterr()
        code = end.value.code or 0
        if code == 2:
            assert error.count("\n") == 1, error
            assert set(os.listdir(tmp_path)) == files
        return code, out if code < 2 else error

    return run


def test_what_is_right_has_a_number(certify):
    for alice in (KNOWN, SEEN):
        code, out = certify(alice)
        assert (code, out.splitlines()[0].split(" of ")[0][:14]) == (0, "Regret at most")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"transitions": MOVES * 1.1}, "transitions at 0, "),
        ({"transitions": MOVES - 0.1}, "no probability"),
        ({"transitions": MOVES.astype(complex)}, "'transitions' holds complex128"),
        ({"transitions": MOVES[:, :, :3]}, "transitions have shape"),
        ({"start": np.ones(4)}, "start sums to 4"),
        ({"start": np.ones(3) / 3}, "start has shape"),
        ({"start": None}, "no array 'start'"),
        ({"r": np.arange(5.0)}, "reward has shape (5,)"),
        ({"r": np.array([0, np.nan, 1, 0])}, "NaN"),
        ({"r": np.ones(4)}, "return range of Alice's reward is 0"),
        ({"r": np.array([0.0, 0, 0, 1])}, "return range of Alice's reward is 0"),  # lives where nobody comes
        ({"p": np.full((3, 2), 0.5)}, "policy has shape"),
        ({"p": np.ones((4, 2))}, "policy at 0, 0 sums to 2"),
        ({"p": np.full((4, 2), np.nan)}, "no probability"),
        ({"p": np.ones(4)}, "policy has shape"),
    ],
)
def test_arrays_that_do_not_fit(certify, changed, told):
    code, error = certify(**changed)
    assert code == 2
    assert told in error


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("delta = 0.05", "delta = 0.0", "delta 0.0"),
        ("delta = 0.05", "delta = nan", "delta nan"),
        ("sharpness = 5.0", "sharpness = inf", "sharpness inf"),
        ("sharpness = 5.0", "sharpness = -1.0", "sharpness -1.0"),
        ("sharpness = 5.0", 'sharpness = "x"', "choices.sharpness"),
        ("delta = 0.05", "bound = 2.0", "sees no scale"),
        ('"c.csv"', '"../c.csv"', "outside its folder"),
        ('"c.csv"', '"/etc/hostname"', "outside its folder"),
        ("discount = 0.9", "discount = nan", "discount"),
    ],
)
def test_settings_that_are_none(certify, old, new, told):
    code, error = certify(SEEN.replace(old, new))
    assert code == 2
    assert told in error


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (HELD["f"] * np.nan, "finite numbers"),
        (np.ones((5, 2)) + np.eye(5, 2), "do not fit an environment"),
        (np.array([[1.0, 0], [0, 0], [0, 0], [0, 1]]), "weights (0.000, 1.000)"),  # the second is seen by nobody
        (np.array([[1.0, 1], [0, 1], [0, 1], [0, 1]]), "weights (0.000, 1.000)"),  # the second is a constant
    ],
)
def test_features_that_say_nothing(certify, features, told):
    code, error = certify(SEEN, f=features)
    assert code == 2
    assert told in error


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("", "columns none"),
        ("state,action\n", "no row"),
        (ROWS + "4,1\n", "choice 40 of the behaviour: state 4 of 4"),
        (ROWS + "1,7\n", "choice 40 of the behaviour: action 7 of 2"),
        (ROWS + "-1,0\n", "state -1"),
        (ROWS + "99999999999999999999999,0\n", "line 42"),
        (ROWS + "1\n", "line 42"),
        (ROWS + "1.5,0\n", "line 42"),
        (ROWS + "\0,0\n", "line 42"),
    ],
)
def test_choices_that_cannot_have_been_made(certify, rows, told):
    code, error = certify(SEEN, rows=rows)
    assert code == 2
    assert told in error


def test_choices_where_nobody_comes_fail_an_assumption(certify):
    code, out = certify(SEEN, rows=ROWS + "3,1\n")
    assert code == 1
    assert "1 choices of process 0 were made in states that are not reached" in out
    assert "the first in state 3" in out


@pytest.mark.parametrize(
    ("bob", "told"),
    [
        ('name = "x"\n', "nothing is known of Bob"),
        ("suboptimality = nan\n" + BOB, "suboptimality"),
        ("suboptimality = -0.1\n" + BOB, "suboptimality"),
        ('[values]\narray = "r"\n', "suboptimality is not known"),
        (BOB + "[drift]\ntransitions = -1.0\n", "transitions=-1.0"),
        (BOB + "[drift]\nreward = nan\n", "reward=nan"),
        (BOB + 'weights = "r"\n', "weights of Bob's 1 policies"),
        ('policy = "q"\n', "no array 'q': there are f, p, r, start, transitions"),
        ('arrays = "no.npz"\n' + BOB, "no such file"),
        (BOB + 'safe = "r"\n', "policy has shape"),
        ("policy = 3\n", "policy"),
        ("\0", "not TOML"),
    ],
)
def test_a_bob_of_whom_too_little_is_known(certify, bob, told):
    code, error = certify(bob=bob)
    assert code == 2
    assert told in error


def archive(path, name, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)


def header(shape, kind="<f8"):
    words = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    words += b" " * (117 - len(words)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(words)) + words


class Touch:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_hostile_archives(certify, tmp_path):
    held, loud = tmp_path / "w.npz", tmp_path / "loud"
    for content, told in (
        (header((100_000, 1000, 100_000)) + b"\0" * 64, "cut short"),
        (header((1,), "|O") + pickle.dumps(Touch(loud)), "holds object"),
        (b"\0" * (300 * 2**20), "300 MiB unpacked"),
        (b"hello", "plain numbers"),
    ):
        archive(held, "transitions.npy", content)
        code, error = certify()
        assert code == 2
        assert told in error
        assert not loud.exists()
    for raw in (b"hello", b"", pickle.dumps(Touch(loud))):
        held.write_bytes(raw)
        code, error = certify()
        assert code == 2
        assert "plain numbers" in error
        assert not loud.exists()
    held.unlink()
    np.savez(tmp_path.parent / "outside.npz", **HELD)
    held.symlink_to(tmp_path.parent / "outside.npz")
    code, error = certify()
    assert code == 2
    assert "outside its folder" in error


def test_files_that_are_none(certify, tmp_path):
    (tmp_path / "alice.toml").write_bytes(b"\xff\xfe\x00")
    code, error = certify(alice=None)
    assert (code, "not UTF-8" in error) == (2, True)
    (tmp_path / "alice.toml").unlink()
    code, error = certify(alice=None)
    assert (code, "no such file" in error) == (2, True)
    (tmp_path / "alice.toml").mkdir()
    code, error = certify(alice=None)
    assert (code, "no such file" in error) == (2, True)
