"""Atlas: maps for browsers and papers, drawn from the store; and pages for reports."""

from thalweg.atlas._chart import BANDS
from thalweg.atlas._render import check_page
from thalweg.atlas.atlas import atlas, plot
from thalweg.atlas.report import Section, Table, report
from thalweg.atlas.surfaces import contour_map, line_map

__all__ = [
    "BANDS",
    "Section",
    "Table",
    "atlas",
    "check_page",
    "contour_map",
    "line_map",
    "plot",
    "report",
]
