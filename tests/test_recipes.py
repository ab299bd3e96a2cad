"""Recipes: `tiny()` runs end to end, is bit-identical from run to run, and ends in a page."""

import json
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from thalweg.phases import Transition
from thalweg.recipes import RECIPES, find
from thalweg.recipes.alice_and_bob._choices import law
from thalweg.recipes.alice_and_bob._reflection import cases
from thalweg.recipes.alice_and_bob._rooms import rooms
from thalweg.recipes.census._counts import a_then_b, count, share
from thalweg.recipes.corner._grid import crossing
from thalweg.recipes.corner._page import _where
from thalweg.recipes.superposition._runs import Toy, _descent, squared
from thalweg.recipes.superposition.config import tiny as superposition_tiny


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.outside, self.circles = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.outside += [v for k, v in attrs if k in ("src", "href", "action") and v]
        if tag == "circle":
            self.circles.append(dict(attrs))


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    out = tmp_path_factory.mktemp("recipe")
    return find("modular-addition").study(out / "a", tiny=True, seed=0), out


def test_tiny_gives_the_document_that_the_docs_name(studied):
    document, _ = studied
    assert set(document) == {"recipe", "seconds", "verdict", "out", "html", "results"}
    results = document["results"]
    json.dumps(document, allow_nan=False)
    lists = ("steps", "train_loss", "test_loss", "llc", "llc_raw", "llc_stderr", "verdicts")
    assert {len(results[name]) for name in lists} == {7}
    assert results["steps"] == [0, 40, 80, 120, 160, 200, 240]
    assert set(results["random_labels"]) == {"train_loss", "llc", "llc_raw", "llc_stderr", "verdicts"}
    for transition in results["transitions"]:
        assert {"kind", "start", "end", "d_loss", "d_llc", "rising"} <= set(transition)


def test_tiny_is_bit_identical_and_a_seed_changes_it(studied):
    document, out = studied
    again = find("modular-addition").study(out / "b", tiny=True, seed=0)
    other = find("modular-addition").study(out / "c", tiny=True, seed=1)
    assert again["results"] == document["results"]
    assert other["results"] != document["results"]


def test_the_page_needs_no_network_and_draws_every_checkpoint(studied):
    document, out = studied
    page = Page()
    text = (out / "a" / "map.html").read_text()
    page.feed(text)
    assert page.outside == []
    assert "svg" in page.tags
    assert "table" in page.tags
    assert len(page.circles) == 4 * 7  # all three readings, and the first in the plane
    hollow = sum(c["fill"] == "#ffffff" for c in page.circles)
    results = document["results"]
    verdicts = results["verdicts"] + results["large_batch"]["verdicts"] + results["auto"]["verdicts"]
    verdicts += results["verdicts"]
    assert hollow == sum(v != "healthy" for v in verdicts)
    for name in ("map.pdf", "map.png"):
        assert (out / "a" / name).stat().st_size > 5000


def test_every_recipe_has_both_sizes():
    for recipe in RECIPES.values():
        assert recipe.paper() != recipe.tiny()
        assert recipe.summary


TRANSITION = {"kind", "start", "end", "start_interval", "end_interval", "d_loss", "d_llc", "rising", "continuing",
              "probability", "nbeta", "errors", "level_error", "rough_error"}  # fmt: skip


@pytest.fixture(scope="module")
def polygons(tmp_path_factory):
    out = tmp_path_factory.mktemp("superposition")
    return find("superposition").study(out / "a", tiny=True, seed=0), out


def test_superposition_gives_what_its_page_in_the_docs_names(polygons):
    document, out = polygons
    results = document["results"]
    json.dumps(document, allow_nan=False)
    assert results["levels"]["4"] == pytest.approx(1 / 9)
    assert results["levels"]["4++-"] == pytest.approx(0.1527777778)
    assert {reading["phase"] for reading in results["phases"]} == {"4", "6"}
    for reading in results["phases"]:
        assert (reading["llc"] is None) == (reading["verdict"] != "healthy")
    posterior = results["posterior"]
    for shares in zip(*(posterior["shares"][k] for k in "3456"), strict=True):
        assert sum(shares) == pytest.approx(1)
    assert results["critical_n"]["5->6"]["predicted"] == pytest.approx(601, abs=0.5)
    assert len(results["runs"]) == 4
    for run in results["runs"]:
        assert len(run["steps"]) == len(run["llc"]) == len(run["verdicts"])
        assert all(set(t) == TRANSITION for t in run["transitions"])
    assert 0 <= results["on_a_level"] <= 1
    page = Page()
    page.feed((out / "a" / "map.html").read_text())
    assert page.outside == []
    assert page.tags.count("svg") >= 3


def test_superposition_is_bit_identical_and_resumes(polygons):
    document, out = polygons
    for name in ("phases", "posterior"):
        (out / "a" / name).rename(out / "a" / f"{name}.old")
    again = find("superposition").study(out / "a", tiny=True, seed=0)
    assert again["results"] == document["results"]


def test_a_run_s_descent_is_that_of_autograd():
    """The gradient that is written out, against the module's own, step by step."""
    protocol = superposition_tiny().descent.model_copy(update={"runs": 1, "epochs": 2, "every": 1, "samples": 40})
    data = torch.zeros(1, 40, 6, dtype=torch.float64)
    own = torch.Generator().manual_seed(0)
    data.scatter_(2, torch.randint(6, (1, 40, 1), generator=own), torch.rand(1, 40, 1, generator=own).double())
    data[:, 1:] = data[:, :1]  # one sample, so that the order does not matter
    kept = _descent(6, protocol, data, seed=0)
    toy = Toy(6)
    with torch.no_grad():
        toy.W.copy_(kept["W"][0, 0])
        toy.b.copy_(kept["b"][0, 0])
    optimizer = torch.optim.SGD(toy.parameters(), lr=protocol.learning_rate)
    for _ in range(2 * 40 // protocol.batch_size):
        optimizer.zero_grad()
        squared(toy(data[0]), data[0]).mean().backward()
        optimizer.step()
    torch.testing.assert_close(toy.W.detach(), kept["W"][0, -1])
    torch.testing.assert_close(toy.b.detach(), kept["b"][0, -1])
    assert not torch.equal(kept["W"][0, 0], kept["W"][0, -1])


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    out = tmp_path_factory.mktemp("census")
    return find("census").study(out / "a", tiny=True, seed=0), out


def test_the_census_gives_what_its_page_in_the_docs_names(counted):
    document, out = counted
    results = document["results"]
    json.dumps(document, allow_nan=False)
    assert set(results) == {"families", "all", "a_then_b"}
    assert len(results["families"]) == 5
    for family in results["families"].values():
        assert family["runs"] == 2
        assert sum(family["total"].values()) == len(family["transitions"])
        assert all(set(t) == TRANSITION | {"run"} for t in family["transitions"])
        for mean, low, high in family["per_run"].values():
            assert low <= mean <= high
    for name in ("total", "per_run", "with_kind", "rising", "continuing"):
        assert name in results["all"]
    page = Page()
    page.feed((out / "a" / "map.html").read_text())
    assert page.outside == []


def test_the_census_is_bit_identical_and_goes_on_where_it_stopped(counted):
    document, out = counted
    shutil.rmtree(out / "a" / "digits")
    again = find("census").study(out / "a", tiny=True, seed=0)
    assert again["results"] == document["results"]


def made(kind, rising=(), continuing=()):
    return Transition(kind, 0, 1, (0, 1), (0, 1), -1.0, 1.0, rising, 0.99, continuing)


def test_transitions_are_counted_with_intervals():
    runs = [[made("A"), made("B", ("weight_norm",))], [made("A"), made("B", (), ("weight_norm",))], [made("A")], []]
    found = count([runs], seed=0)
    assert found.total == {"A": 3, "B": 2, "other": 0}
    assert found.per_run["A"][0] == 0.75
    assert found.per_run["A"][1] < 0.75 < found.per_run["A"][2]
    assert (found.rising["weight_norm"].count, found.rising["weight_norm"].of) == (1, 2)
    assert found.rising["none"].count == 1
    assert found.continuing["none"].count == 0
    low, high = found.rising["weight_norm"].interval
    assert (low, high) == pytest.approx((0.0253, 0.9747), abs=1e-3)  # Clopper and Pearson 1934: 1 of 2 at 90 %
    assert [a_then_b(own) for own in runs] == [True, True, False, False]
    assert share(0, 0).share is None


@pytest.fixture(scope="module")
def mice(tmp_path_factory):
    out = tmp_path_factory.mktemp("corner")
    return find("corner").study(out / "a", tiny=True, seed=0), out


def test_the_corner_gives_what_its_page_in_the_docs_names(mice):
    document, _ = mice
    json.dumps(document, allow_nan=False)
    results = document["results"]
    lists = ("steps", "regret", "regret_corner", "regret_elsewhere", "llc", "llc_stderr", "verdicts", "phases")
    assert len({len(results[name]) for name in lists}) == 1
    assert document["verdict"] == "healthy"
    assert results["regret"][0] > 4 * results["reference"]["corner"]
    assert {run["second_fall"] is not None for run in results["runs"]} == {True}
    for run in results["runs"]:
        before, after = run["misgeneralised"]["elsewhere"]
        assert after < before
    assert "to the corner" in results["phases"]
    assert results["phases"][-1] == "to the cheese"
    (rise,) = results["rises"]
    assert rise["interval"][0] < rise["mean"] < rise["interval"][1]
    assert set(results["plain"]["verdicts"]) == {"healthy"}  # orthogonally to its gradient plain regret has a minimum
    (row,) = results["grid"]["rows"]
    assert row["share_to_cheese"][0] <= row["share_to_cheese"][-1]


def test_the_corner_is_bit_identical_and_goes_on_where_it_stopped(mice):
    document, out = mice
    shutil.rmtree(out / "a" / "rise-300.zarr")
    (out / "a" / "runs" / "seed-1" / "step-500.safetensors").unlink()
    again = find("corner").study(out / "a", tiny=True, seed=0)
    assert again["results"] == document["results"]


@pytest.mark.parametrize("name", ["cliffs", "gym"])
def test_surfaces_and_cliffs_of_learners(name, tmp_path):
    document = find(name).study(tmp_path / "a", tiny=True, seed=0)
    json.dumps(document, allow_nan=False)
    runs = document["results"]["runs"] if name == "cliffs" else list(document["results"].values())
    assert len(runs) == (5 if name == "cliffs" else 3)
    for run in runs:
        assert run["cliffs_per_100"] == 100 * len(run["cliffs"]) / len(run["steps"])
    page = Page()
    page.feed((tmp_path / "a" / f"{name}.html").read_text())
    assert not page.outside
    assert page.tags.count("svg") >= 6


def test_a_crossing_is_read_across_what_has_no_value():
    nan = float("nan")
    alphas = (0.01, 0.1, 1.0)
    assert crossing(alphas, np.array([-1.0, nan, 1.0])) == pytest.approx(0.1)
    assert crossing(alphas, np.array([-1.0, 1.0, nan])) == pytest.approx(0.01 * 10**0.5)
    assert np.isnan(crossing(alphas, np.array([nan, -1.0, -2.0])))
    assert _where(nan, np.array([nan, -1.0, -2.0]), alphas) == "above 1"
    assert _where(nan, np.array([2.0, 1.0, nan]), alphas) == "below 0.01"
    assert _where(nan, np.full(3, nan), alphas) == "no value"


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    out = tmp_path_factory.mktemp("alice-and-bob")
    return find("alice-and-bob").study(out / "a", tiny=True, seed=0), out


def test_alice_and_bob_give_what_their_page_in_the_docs_names(parties):
    document, out = parties
    json.dumps(document, allow_nan=False)
    results = document["results"]
    assert set(results) == {"choices", "training", "reflection", "ontology"}
    for group in results["choices"]:
        assert {len(group[name]) for name in ("choices", "exact", "distance", "t1", "realised", "missed")} == {2}
        for realised, exact, distance, t1 in zip(
            *(group[k] for k in ("realised", "exact", "distance", "t1")), strict=True
        ):
            assert realised <= exact <= distance
            assert t1 == pytest.approx(distance + 0.02, abs=1e-12)
        assert group["exact"][1] < group["exact"][0]
    training = results["training"]
    for who in ("known", "observed"):
        found = np.array([training[who][name] for name in ("realised", "exact", "lp", "t1")])
        assert (np.diff(found, axis=0) >= -1e-9).all()
        assert found[1, -1] < found[1, 0]
    assert (np.array(training["observed"]["exact"]) >= np.array(training["known"]["exact"])).all()
    gap = training["gap"]
    assert all(c >= a for c, a in zip(gap["certified"], gap["all"], strict=True))
    assert [p is not None for p in gap["predicted"]] == [v == "healthy" for v in gap["verdicts"]]
    values = [x for x in training["continued"]["estimated"] if x is not None]
    assert values == sorted(values)
    ontology = results["ontology"]
    assert max(ontology["lumpable"].values()) < 1e-10
    assert "merges fine states 2 and 1" in ontology["refused"]
    for drift in ontology["drifting"]:
        assert drift["violated"] == 0
        assert drift["plain_violated"] > 0  # negative control: what does not pay for the drift
    page = Page()
    page.feed((out / "a" / "alice-and-bob.html").read_text())
    assert page.outside == []
    assert page.tags.count("svg") == 3


def test_alice_and_bob_are_bit_identical_and_go_on_where_they_stopped(parties):
    document, out = parties
    (out / "a" / "ontologies.json").unlink()
    (out / "a" / "training" / "continued.json").unlink()
    (out / "a" / "training" / "checkpoint-1.json").unlink()
    (out / "a" / "choices" / "b-50" / "alice-1.json").unlink()
    again = find("alice-and-bob").study(out / "a", tiny=True, seed=0)
    assert again["results"] == document["results"]


def test_a_law_is_found_where_it_holds_and_missed_where_it_does_not():
    n = np.array([50, 160, 500, 1600, 5000])
    shape = np.log(n) / n
    people = np.exp(np.random.default_rng(0).normal(scale=0.1, size=(40, 1)))
    found = law(3 * people * shape, n, 1.5, 0, power=1.0)
    assert found.slope == pytest.approx(found.predicted, abs=1e-12)
    assert found.constant == pytest.approx(2 * people.mean(), rel=1e-12)
    assert found.worst == pytest.approx(1.0)
    root = law(people * shape**0.5 + 0.02, n, 1.5, 0, power=0.5, floor=0.02)
    assert root.slope == pytest.approx(root.predicted, abs=1e-12)
    wrong = law(people * shape**0.5, n, 1.5, 0, power=1.0)  # negative control
    assert not wrong.interval[0] <= wrong.predicted <= wrong.interval[1]
    assert wrong.worst > 2


def test_who_rewrites_himself_is_caught_by_the_exact_number():
    found = {case.name: case.found for case in cases()}
    harmed = [name for name, one in found.items() if one.regret_after > one.regret_before + 0.1]
    assert harmed == ["exact, judges by the new reward", "bounded, sees 3 steps", "accepts a loss of up to 1.05"]
    bounded = found["bounded, sees 3 steps"]
    assert bounded.bound_after < bounded.bound_before  # T1 alone would have praised it
    for one in found.values():
        assert one.regret_after <= one.bound_after + 1e-9


def test_rooms_are_one_process_and_levels_alike():
    """The mixture of all rooms without end, and the levels with a horizon: returns agree up to what comes after."""
    some = rooms(2, 0.6)
    worth = torch.tensor([1.0, -0.5], dtype=torch.float64)
    levels, reward = some.levels(worth, 60), some.values.reward(worth, 5)
    policy = torch.softmax(torch.randn(len(levels), 4, 5, generator=torch.Generator().manual_seed(0)).double(), -1)
    there = float((levels.weight * levels.returns(policy)).sum())
    assert float(some.all.returns(policy.flatten(0, 1), reward)) == pytest.approx(there, abs=1e-12)
    shorter = some.levels(worth, 3)  # negative control
    assert abs(float((shorter.weight * shorter.returns(policy)).sum()) - there) > 1e-3
