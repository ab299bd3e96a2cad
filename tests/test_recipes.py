"""Recipes: `tiny()` runs end to end, is bit-identical from run to run, and ends in a page."""

import json
from html.parser import HTMLParser

import pytest

from thalweg.recipes import RECIPES, find


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
