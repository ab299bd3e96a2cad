"""Estimators: from traces to numbers with errors and verdicts."""

from thalweg.estimators.calibration import Auto
from thalweg.estimators.draws import posterior_losses
from thalweg.estimators.health import Health, diagnose
from thalweg.estimators.llc import choice, describe, estimate, estimate_auto, estimate_llc, trace

__all__ = [
    "Auto",
    "Health",
    "choice",
    "describe",
    "diagnose",
    "estimate",
    "estimate_auto",
    "estimate_llc",
    "posterior_losses",
    "trace",
]
