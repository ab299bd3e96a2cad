"""Pages and figures: self-contained, the same bytes each time, and everything that is stored is on them."""

from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure

import thalweg as tw
from thalweg.atlas import BANDS, Section, Table, report
from thalweg.atlas._chart import chart
from thalweg.atlas._figure import draw
from thalweg.atlas._page import TableRow, write
from thalweg.atlas._plane import plane_of
from thalweg.atlas._scale import time_of
from thalweg.store import VERDICTS


class Page(HTMLParser):
    """Counts tags and names, and keeps what a page would fetch."""

    def __init__(self):
        super().__init__()
        self.tags, self.names, self.outside = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.names.append(value)
            if name in ("href", "src", "xlink:href") and not str(value).startswith("#"):
                self.outside.append(value)


def read(path):
    page = Page()
    page.feed(path.read_text())
    return page


def sections():
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.fill_between([0, 1, 2], [0, 1, 1], alpha=0.2)
    axes.set_xlabel("width λ̂ < 3")
    table = Table(("name", "λ̂"), (("a & b", "1.5 ± 0.1"), ("<script>", "–")))
    return [Section("One", ("Some <b>words</b>.",), figure, table), Section("Two", (), figure), Section("Three")]


def test_a_report_is_one_page_and_the_same_bytes(tmp_path):
    one = report(tmp_path / "new" / "one.html", "A & B", sections())
    two = report(tmp_path / "two.html", "A & B", sections())
    assert one.read_bytes() == two.read_bytes()
    assert [p.name for p in one.parent.iterdir()] == ["one.html"]
    page = read(one)
    assert page.outside == []
    assert page.tags.count("svg") == 2
    assert page.tags.count("td") == 4
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert len(set(page.names)) == len(page.names)  # the same figure twice, and yet no name twice
    assert "width λ̂ &lt; 3" in one.read_text()
    assert Table(("a", "b"), (("x1", "1"), ("y", "-2 %"))).numeric == (False, True)


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = report(tmp_path / "one.html", "old", sections())
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        report(path, "new", [])
    assert "<h1>old</h1>" in path.read_text()


def test_what_a_report_refuses(tmp_path):
    with pytest.raises(tw.InputError, match="must end in"):
        report(tmp_path / "one.txt", "A", [])
    with pytest.raises(tw.InputError, match="row 0 has 1 cells, the header 2"):
        Table(("a", "b"), (("1",),))


UNEVEN = np.array([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000])
SICK = 8  # the checkpoint that is unhealthy


def a_chart(steps=UNEVEN, lost=(), n=1000):
    x = np.arange(len(steps))
    llc, loss = 20 + 60 / (1 + np.exp(6.0 - x)), 0.3 + 2 / (1 + np.exp(x - 6.0))
    found = tw.transitions(steps, loss, llc, np.ones(len(steps)))
    assert [t.kind for t in found] == ["A"]
    llc[list(lost)] = np.nan
    verdict = np.where(x == SICK, 1, VERDICTS.index("healthy"))
    columns = {
        "train_loss": loss,
        "test_loss": loss,
        "llc": llc,
        "llc_stderr": np.ones(len(steps)),
        "verdict": verdict,
    }
    return chart(steps, columns, found, title="A run", n=n, others={}, levels={})


def test_time_is_logarithmic_only_where_checkpoints_are_spread_unevenly():
    assert time_of(UNEVEN).logarithmic
    assert not time_of(np.arange(0, 100_000, 10)).logarithmic  # many decades, but even
    assert not time_of(np.array([0, 10, 20, 500])).logarithmic  # uneven, but not so far
    assert not time_of(np.array([7])).logarithmic
    for steps in (UNEVEN, UNEVEN + 1000, 2 ** np.arange(16)):
        time = time_of(steps)
        np.testing.assert_allclose(time.inverse(time(steps)), steps, rtol=1e-9, atol=1e-9)
        ticks = time.ticks(9)
        assert ticks[0] == steps[0]
        assert 4 <= len(ticks) <= 10
        assert ticks[-1] <= steps[-1]


@pytest.mark.parametrize("n", [2, 1000, 10**6])
def test_free_energy_is_equal_along_every_line_of_the_plane(n):
    plane = plane_of(a_chart(n=n))
    left, right, foot, top = plane.window()
    lines = plane.equal_energy()
    assert len(lines) > 5
    for line in lines:
        energies = [n * x + y * np.log(n) for x, y in line]
        assert energies[0] == pytest.approx(energies[1], rel=1e-9)
        for x, y in line:
            assert left - 1e-9 <= x <= right + 1e-9
            assert foot - 1e-6 <= y <= top + 1e-6


def test_the_plane_has_the_colours_of_transitions_and_leaves_out_what_has_no_number():
    whole, part = a_chart(), a_chart(lost=(3, 4))
    plane = plane_of(whole)
    (found,) = whole.transitions
    inside = [found.start <= step <= found.end for step in UNEVEN]
    assert [colour == BANDS["A"] for colour in plane.points] == inside
    assert sum(colour == BANDS["A"] for colour in plane.segments) == sum(inside) - 1
    assert not plane.healthy[SICK]
    assert plane.healthy.sum() == len(UNEVEN) - 1
    assert list(plane_of(part).index) == [0, 1, 2, *range(5, len(UNEVEN))]
    assert plane_of(a_chart(lost=range(len(UNEVEN)))).equal_energy()  # nothing to draw, and yet no error


@pytest.mark.parametrize("lost", [(), (3, 4), range(len(UNEVEN)), range(1, len(UNEVEN))])
def test_page_and_figure_draw_what_there_is(tmp_path, lost):
    drawn = a_chart(lost=lost)
    assert draw(drawn, tmp_path / "map.svg").stat().st_size > 5000
    attributes = {"settings": {}, "versions": {}, "hashes": {}, "checkpoints": 1, "complete": True}
    rows = [TableRow({"step": "0", "verdict": "healthy"}, "")]
    path = write(drawn, tmp_path / "map.html", rows=rows, attributes=attributes, notes=[], forecasts=["Nowhere."])
    assert "Nowhere." in path.read_text()
    page, text = read(path), path.read_text()
    assert page.tags.count("circle") == 2 * (len(UNEVEN) - len(lost))
    assert text.count('fill="#ffffff"') == 2 * (SICK not in lost)
    assert f'aria-label="{drawn.transitions[0].sentence()}"' in text
    assert "(on a logarithm)" in text
