"""The command line as its users meet it: one line for wrong input, one document for --json."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import Net, write_run

WORLD = """
import sys
sys.path.insert(0, {tests!r})
import torch
from conftest import Net, classes

model = Net
bigger = Net(hidden=14)
data = classes()
test = lambda: classes(seed=9)
short = (data[0], data[1][:-1])

def mean_loss(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets)

def nats(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
"""


def thalweg(*words, cwd):
    command = [sys.executable, "-m", "thalweg", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    write_run(folder / "run")
    (folder / "world.py").write_text(WORLD.format(tests=str(Path(__file__).parent)))
    return folder


def survey_words(run="run", out="out.zarr", **changes):
    words = {"model": "world.py:model", "data": "world.py:data", "loss": "cross_entropy", "chains": 2, "draws": 300}
    words |= {"burn-in": 100, "batch-size": 32, "gamma": 5, "step-size": 1e-3, **changes}
    return ["survey", run, "--out", out, *(part for key, value in words.items() for part in (f"--{key}", value))]


def test_survey_and_atlas(place):
    done = thalweg(*survey_words(test="world.py:test", workers=2), "--json", cwd=place)
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["verdict"] == "healthy" else 1)
    assert done.stderr == ""  # silent where that is no terminal
    assert document["steps"] == [0, 10, 20, 30, 40, 50]
    assert all((v is None) == (h != "healthy") for v, h in zip(document["llc"], document["verdicts"], strict=True))
    assert None not in document["llc_raw"] + document["test_loss"]
    drawn = thalweg("atlas", "out.zarr", "--json", cwd=place)
    assert drawn.returncode == 0
    made = json.loads(drawn.stdout)
    for path in (made["html"], *made["figures"]):
        assert (place / path).stat().st_size > 5000
    page = (place / made["html"]).read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    again = thalweg(*survey_words(test="world.py:test"), "--json", cwd=place)  # nothing is computed again
    assert json.loads(again.stdout)["llc_raw"] == document["llc_raw"]


def test_what_is_logged_is_in_the_document(place):
    words = [*survey_words(out="logged.zarr"), "--log", "log_determinant", "--log", "functional_variance", "--json"]
    document = json.loads(thalweg(*words, cwd=place).stdout)
    for name in ("log_determinant", "functional_variance"):
        assert len(document[name]) == 6
        assert all(value > 0 for value in document[name])


def test_a_loss_of_ones_own_and_an_unhealthy_survey(place):
    words = survey_words(out="sick.zarr", loss="world.py:nats", workers=2, **{"step-size": 10.0})
    done = thalweg(*words, "--json", cwd=place)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert set(document["verdicts"]) <= {"diverged", "not-stationary", "chains-disagree"}
    assert document["llc"] == [None] * 6
    assert thalweg("atlas", "sick.zarr", cwd=place).returncode == 0  # hollow, but drawn


def bad_run(place, name, change):
    """A copy of the run whose last checkpoint is spoilt."""
    run = write_run(place / name)
    change(run / "step-50.safetensors")
    return name


def spoil(**tensors):
    def change(path):
        save_file(load_file(path) | tensors, path, {"step": "50"})

    return change


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


def evil(path):
    torch.save({"x": Evil()}, path.with_name("evil-60.pt"))


BAD = {
    "missing folder": (lambda p: survey_words(run="nowhere"), "nowhere"),
    "empty folder": (lambda p: (p / "empty").mkdir() or survey_words(run="empty"), "empty"),
    "no checkpoint": (
        lambda p: survey_words(run=bad_run(p, "garbage", lambda f: f.write_bytes(b"x" * 99))),
        "step-50.safetensors",
    ),
    "pickle with code": (lambda p: survey_words(run=bad_run(p, "evil", evil)), "evil-60.pt"),
    "other shapes": (lambda p: survey_words(model="world.py:bigger"), "shape"),
    "NaN in the weights": (
        lambda p: survey_words(run=bad_run(p, "nan", spoil(**{"layers.0.bias": torch.full((13,), float("nan"))}))),
        "layers.0.bias",
    ),
    "data of unequal length": (lambda p: survey_words(data="world.py:short"), "unequal length"),
    "one number per batch": (lambda p: survey_words(loss="world.py:mean_loss"), 'reduction="none"'),
    "unknown loss": (lambda p: survey_words(loss="crossentropy"), "crossentropy"),
    "no such name": (lambda p: survey_words(model="world.py:modle"), "modle"),
    "no such file": (lambda p: survey_words(data="data.py:x"), "data.py"),
    "unknown recipe": (lambda p: ["recipe", "run", "modular-adition"], "modular-addition"),
    "setting out of range": (lambda p: survey_words(draws=0), "draws"),
    "no number": (lambda p: survey_words(budget="1min"), "--budget"),
    "no such option": (lambda p: [*survey_words(), "--bugdet", "3"], "--bugdet"),
    "nothing of that name to log": (lambda p: [*survey_words(), "--log", "entropy"], "entropy"),
    "memory": (lambda p: survey_words(memory="lots"), "lots"),
    "pattern of nothing": (lambda p: survey_words(restrict="head.*"), "head.*"),
    "atlas of nothing": (lambda p: ["atlas", "run"], "no survey"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_exit_2_and_leaves_nothing(place, case):
    words, named = BAD[case][0](place), BAD[case][1]
    words = ["out2.zarr" if w == "out.zarr" else w for w in words]
    done = thalweg(*words, cwd=place)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert named in done.stderr
    assert ": " in done.stderr
    assert not (place / "out2.zarr").exists()
    assert not (place / "ran").exists()


@pytest.mark.parametrize("command", ["survey", "recipe"])
def test_an_output_folder_of_something_else_is_left_alone(place, command):
    other = place / f"thesis-{command}"
    other.mkdir()
    (other / "chapter.tex").write_text("x")
    words = (
        survey_words(out=other.name) if command == "survey" else ["recipe", "run", "modular-addition", "--out", other]
    )
    done = thalweg(*words, cwd=place)
    assert done.returncode == 2
    assert "something else" in done.stderr
    assert [p.name for p in other.iterdir()] == ["chapter.tex"]


def test_verbs_and_options_are_these(place):
    """The command line is frozen here; a change is a line in the CHANGELOG."""
    listed = json.loads(thalweg("recipe", "list", "--json", cwd=place).stdout)
    assert [r["recipe"] for r in listed] == [
        "modular-addition",
        "superposition",
        "census",
        "corner",
        "cliffs",
        "gym",
        "alice-and-bob",
    ]
    text = thalweg("--help", cwd=place).stdout
    assert all(verb in text for verb in ("survey", "recipe", "atlas", "surface", "certify"))
    text = thalweg("recipe", "run", "--help", cwd=place).stdout
    assert all(option in text for option in ("--tiny", "--out", "--seed", "--json"))
    parts = ("--landscape", "--model", "--data", "--loss")
    text = thalweg("survey", "--help", cwd=place).stdout
    assert all(option in text for option in ("--log", *parts))
    assert all(f"[default: ({default})]" in text for default in ("n / log n", "chosen", "20000"))
    text = thalweg("surface", "--help", cwd=place).stdout
    options = ("--out", "--step", "--size", "--extent", "--length", "--seed", "--json")
    assert all(option in text for option in (*options, *parts))


def test_net_is_what_the_world_says():
    assert len(list(Net().parameters())) == 4
