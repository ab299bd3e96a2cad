"""The correctness page: estimates with nothing set, held against what is known exactly."""

from thalweg.check.cases import CASES, Case
from thalweg.check.report import page
from thalweg.check.run import BUDGET, RTOL, Line, Report, check

__all__ = ["BUDGET", "CASES", "RTOL", "Case", "Line", "Report", "check", "page"]
