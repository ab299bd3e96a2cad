"""Calibration: an estimate that finds its own sampler, step, tether, burn-in and length."""

from thalweg.estimators.calibration.auto import Auto
from thalweg.estimators.calibration.pace import counted
from thalweg.estimators.calibration.settle import Settled, settle

__all__ = ["Auto", "Settled", "counted", "settle"]
