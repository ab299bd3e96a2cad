"""A report as one self-contained HTML page: sections of words, a figure, a table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from thalweg.atlas._render import render
from thalweg.errors import InputError

NUMBER = re.compile(r"[([]?[-−+±≤≥<>~≈]?\s*(\d|\.\d|–|∞|$)")  # what a cell of a column of numbers begins with
NAMELESS = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # nothing that changes from run to run


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text.

    Attributes:
        header: names of the columns.
        rows: cells, one a column.

    Raises:
        InputError: a row that has not one cell for each column.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.header):
                raise InputError(f"row {i} has {len(row)} cells, the header {len(self.header)}: give one a column")

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether a column holds numbers; they stand to the right."""
        return tuple(all(NUMBER.match(row[i]) for row in self.rows) for i in range(len(self.header)))


@dataclass(frozen=True, eq=False)
class Section:
    """One section of a report.

    Attributes:
        title: its heading.
        paragraphs: plain text.
        figure: drawn below the words.
        table: below the figure.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    figure: Figure | None = None
    table: Table | None = None


def report(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write a report, whole or not at all. The same sections give the same bytes.

    Raises:
        InputError: a path that does not end in .html.
    """
    figures = ["" if s.figure is None else _svg(s.figure, f"f{i}-") for i, s in enumerate(sections)]
    return render("report.html.j2", Path(path), title=title, sections=list(zip(sections, figures, strict=True)))


def _svg(figure: Figure, prefix: str) -> str:
    """A figure to stand inside a page: its names begin with `prefix`, so that they are nobody else's."""
    text = StringIO()
    with rc_context({"svg.hashsalt": "thalweg", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata=NAMELESS, transparent=True)
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}", drawn)
    return drawn.replace("*{", "figure.plot svg *{")  # a style inside a page is everybody's
