"""One thread a process: in the command, in recipes, in `check`, in workers. A user's own number is left as it was."""

import os

import pytest
import torch
from pydantic import BaseModel
from threadpoolctl import threadpool_info

from thalweg.check import check
from thalweg.cli import main as entry
from thalweg.recipes import Outcome, Recipe
from thalweg.recipes._parallel import in_parallel
from thalweg.runtime import Workers
from thalweg.runtime.threads import VARIABLES


class Config(BaseModel):
    """A study that has nothing to choose."""


def counts(_=None):
    """Threads of torch, and of each library that NumPy or SciPy have loaded."""
    torch.ones(2) @ torch.ones(2)
    return {torch.get_num_threads(), *(lib["num_threads"] for lib in threadpool_info())}


@pytest.fixture(autouse=True)
def two():
    """A user who works with two."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_the_count_can_fail():
    assert 2 in counts()


def test_workers_have_one_whatever_the_variables_say(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "2")
    with Workers(1) as hands:
        assert list(hands.map(counts, [0])) == [{1}]
    with Workers(1, threads=2) as hands:  # the control
        assert 2 in next(iter(hands.map(counts, [0])))


def test_a_recipe_has_one_here_and_in_its_workers(tmp_path):
    seen = []

    def run(config, out, seed, stages):
        seen.extend([counts(), *in_parallel(counts, range(2))])
        return Outcome({}, out / "page.html", 0.0)

    Recipe("probe", "counts", Config, Config, run).study(tmp_path / "a", tiny=True, seed=0)
    assert seen == [{1}] * 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_check_has_one(monkeypatch, workers):
    seen = []
    monkeypatch.setattr("thalweg.check._run._measure", lambda name, auto: counts())
    check(["regular"], workers=workers, done=seen.append)
    assert seen
    assert all(found == {1} for found in seen)


def test_the_command_has_one(monkeypatch):
    seen = []
    for name in VARIABLES:
        monkeypatch.setenv(name, "2")
    monkeypatch.setitem(entry.__globals__, "_run", lambda: seen.append((counts(), os.environ["OMP_NUM_THREADS"])))
    with pytest.raises(SystemExit):
        entry()
    assert seen == [({1}, "1")]
