"""Estimators: from traces to numbers with errors and verdicts."""

from thalweg.estimators.calibration import Auto, counted
from thalweg.estimators.degeneracy import NullPath, NullReport, Rank, bounds, null_directions, rank
from thalweg.estimators.draws import posterior_losses
from thalweg.estimators.health import Health, diagnose
from thalweg.estimators.hessian import log_determinant
from thalweg.estimators.llc import choice, describe, estimate, estimate_auto, estimate_llc, trace
from thalweg.estimators.logged import LOGGED, Logged, measured
from thalweg.estimators.response import Response, influence, susceptibility
from thalweg.estimators.statistics import Errors, Waic, Wbic, predict, waic, wbic
from thalweg.estimators.temperatures import Agreement, Multiplicity, Quantity, agree, multiplicity, slope

__all__ = [
    "LOGGED",
    "Agreement",
    "Auto",
    "Errors",
    "Health",
    "Logged",
    "Multiplicity",
    "NullPath",
    "NullReport",
    "Quantity",
    "Rank",
    "Response",
    "Waic",
    "Wbic",
    "agree",
    "bounds",
    "choice",
    "counted",
    "describe",
    "diagnose",
    "estimate",
    "estimate_auto",
    "estimate_llc",
    "influence",
    "log_determinant",
    "measured",
    "multiplicity",
    "null_directions",
    "posterior_losses",
    "predict",
    "rank",
    "slope",
    "susceptibility",
    "trace",
    "waic",
    "wbic",
]
