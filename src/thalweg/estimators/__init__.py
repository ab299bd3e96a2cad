"""Estimators: from traces to numbers with errors and verdicts."""

from thalweg.estimators._hessian import log_determinant
from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.adaptation.pace import counted
from thalweg.estimators.degeneracy.paths import NullPath, NullReport, null_directions
from thalweg.estimators.degeneracy.rank import Rank, bounds, rank
from thalweg.estimators.diagnostics import ESS_CUT, RHAT_CUT, Health, diagnose, precision, split_rhat
from thalweg.estimators.llc import begin, choice, describe, estimate, estimate_auto, estimate_llc, trace
from thalweg.estimators.logged import LOGGED, Logged, measured
from thalweg.estimators.posterior_losses import posterior_losses
from thalweg.estimators.response import Response, influence, susceptibility
from thalweg.estimators.statistics import Errors, Waic, Wbic, predict, waic, wbic
from thalweg.estimators.temperatures import Agreement, Measured, Multiplicity, Quantity, agree, multiplicity, slope

__all__ = [
    "ESS_CUT",
    "LOGGED",
    "RHAT_CUT",
    "Agreement",
    "Auto",
    "Errors",
    "Health",
    "Logged",
    "Measured",
    "Multiplicity",
    "NullPath",
    "NullReport",
    "Quantity",
    "Rank",
    "Response",
    "Waic",
    "Wbic",
    "agree",
    "begin",
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
    "precision",
    "predict",
    "rank",
    "slope",
    "split_rhat",
    "susceptibility",
    "trace",
    "waic",
    "wbic",
]
