"""What would not end is refused before it begins, with the estimate; what is long is said; parts make the whole."""

import logging

import numpy as np
import pytest
import torch

from thalweg import effort
from thalweg.certificates import Regret, check_class, covered, supremum
from thalweg.certificates.confidence_set import _cost as foreseen
from thalweg.certificates.confidence_set import _simplices as simplices
from thalweg.certificates.confidence_set._cost import check_time
from thalweg.cli._announced import say_what_is_long
from thalweg.errors import InputError
from thalweg.irl import Boltzmann, Likelihood, Linear, smc
from thalweg.recipes.alice_and_bob._alices import alice


@pytest.fixture(autouse=True)
def _heard(monkeypatch):
    """The linter of layers, in the same process, turns off all loggers that there are."""
    monkeypatch.setattr(effort.LOG, "disabled", False)


@pytest.mark.parametrize(
    ("features", "bound", "said"),
    [
        (20, None, "2\\^D = 1,050,000 cells, 0.625 GiB.*19 features"),
        (32, None, "2\\^D = 4,290,000,000 cells, 4,100 GiB"),
        (400, None, "2\\^D = 10\\^120 cells"),
        (10, 1.0, "D! = 3,630,000 cells, 1.19 GiB.*9 features"),
        (60, 1.0, "D! = 10\\^82 cells"),
    ],
)
def test_a_class_of_too_many_features_is_refused_before_a_cell_is_made(features, bound, said, monkeypatch):
    monkeypatch.setattr(simplices, "product", None)  # nothing is enumerated
    monkeypatch.setattr(simplices, "permutations", None)
    behaviour, _, choice_model, _ = alice(0, 20)
    with pytest.raises(InputError, match=said) as refused:
        covered(behaviour, Linear(torch.eye(features), bound), choice_model, 0.1)
    assert "candidates" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_class_that_a_cover_can_hold_is_not_refused():  # negative control
    check_class(Linear(torch.eye(19)))
    check_class(Linear(torch.eye(9), 1.0))
    for weights, bound in ((5, None), (4, 1.0)):
        points, cells = simplices.first_cells(weights, bound)
        assert simplices.counted(weights, bound) == cells.corners.shape
        assert points.values.shape[1] == weights


def clock(monkeypatch, seconds):
    """A reading takes so long, whatever it is."""
    for module in (foreseen, effort):
        monkeypatch.setattr(module, "seconds_of", lambda call: (call(), seconds)[1])


def test_vertices_that_take_too_long_are_refused_and_long_ones_are_said(monkeypatch, caplog):
    values, read = Linear(torch.eye(3)), []
    caplog.set_level(logging.INFO, "thalweg")
    clock(monkeypatch, 30.0)
    with pytest.raises(InputError, match=r"planning at 200 vertices .*30 s each, takes at least 1.67 hours .*30 min"):
        check_time(read.append, values, 50_000)
    assert len(read) == 1  # one vertex, not all
    clock(monkeypatch, 0.2)
    check_time(read.append, values, 50_000)
    assert "from 8 cells on" in caplog.text
    assert "up to 2.78 hours" in caplog.text
    assert all(len(points) <= 16 for points in read)
    caplog.clear()
    clock(monkeypatch, 1e-4)
    check_time(read.append, values, 50_000)
    assert not caplog.text


def test_a_posterior_that_takes_too_long_is_refused(monkeypatch):
    behaviour, values, choice_model, _ = alice(0, 20)
    likelihood = Likelihood.of(behaviour, values, choice_model)
    monkeypatch.setattr("thalweg.irl.posterior.seconds_of", lambda call: 60.0)
    with pytest.raises(InputError, match="8 repeats of 1,000 particles takes at least 50 min"):
        smc(likelihood)


def test_the_command_line_says_it_on_standard_error(capsys):
    handlers, level = effort.LOG.handlers, effort.LOG.level
    try:
        say_what_is_long()
        effort.announce("a long thing", 7200.0)
        effort.announce("a short one", 59.0)
    finally:
        effort.LOG.handlers = handlers
        effort.LOG.setLevel(level)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "a long thing: up to 2 hours\n")


@pytest.mark.parametrize("bounded", [False, True])
def test_in_parts_a_cover_is_what_it_is_as_a_whole(bounded, monkeypatch):
    behaviour, values, choice_model, _ = alice(4, 100)
    if bounded:
        values, choice_model = Linear(values.features, 2.0), Boltzmann(1.0, relative=False)
    mdp = behaviour.environments[0]
    quantity = Regret(values, mdp, mdp.occupancy(torch.full((10, 3), 1 / 3).double()))
    found = []
    for chunk in (simplices.CHUNK, 2000):
        monkeypatch.setattr(simplices, "CHUNK", chunk)
        cover = covered(behaviour, values, choice_model, 0.1, budget=300)
        found.append((cover, supremum(cover, quantity, budget=100)))
    (whole, worst), (parts, other) = found
    assert len(whole.cells.corners) > 200
    np.testing.assert_array_equal(whole.cells.corners, parts.cells.corners)
    np.testing.assert_allclose(whole.bounds.most, parts.bounds.most, atol=1e-9)
    assert worst.bound == pytest.approx(other.bound, rel=1e-9)
