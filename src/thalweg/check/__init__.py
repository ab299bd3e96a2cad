"""The correctness page: estimates with nothing set, held against what is known exactly."""

from thalweg.check._cases import CASES, Case
from thalweg.check._run import BUDGET, RTOL, Line, Report, check
from thalweg.check.report import page

__all__ = [
    "BUDGET",
    "CASES",
    "RTOL",
    "Case",
    "Line",
    "Report",
    "check",
    "page",
]
