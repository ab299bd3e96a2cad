"""Phases: where a run changes, and into what; what free energy expects of it."""

from thalweg.phases.forecasts import Forecast, forecasts
from thalweg.phases.free_energy import Phase, critical_n, free_energy, integrate, posterior, preferred
from thalweg.phases.plateaus import Plateau, plateaus
from thalweg.phases.transitions import FEWEST, Transition, transitions

__all__ = [
    "FEWEST",
    "Forecast",
    "Phase",
    "Plateau",
    "Transition",
    "critical_n",
    "forecasts",
    "free_energy",
    "integrate",
    "plateaus",
    "posterior",
    "preferred",
    "transitions",
]
