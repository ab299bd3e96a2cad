"""Calibration: an estimate that finds its own sampler, step, tether, burn-in and length."""

from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.adaptation.pace import counted
from thalweg.estimators.adaptation.settle import Settled, settle

__all__ = [
    "Auto",
    "Settled",
    "counted",
    "settle",
]
