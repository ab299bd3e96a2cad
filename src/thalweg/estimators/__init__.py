"""Estimators: from traces to numbers with errors and verdicts."""

from thalweg.estimators.health import Health, diagnose
from thalweg.estimators.llc import describe, estimate, estimate_llc, trace

__all__ = ["Health", "describe", "diagnose", "estimate", "estimate_llc", "trace"]
