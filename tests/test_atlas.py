"""Pages and figures: self-contained, the same bytes each time, and everything that is stored is on them."""

from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

import thalweg as tw
from thalweg.atlas import Section, Table, report


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
