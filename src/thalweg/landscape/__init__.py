"""Landscapes: the first record, and everything that makes one."""

from thalweg.landscape.build import landscape, potential
from thalweg.landscape.center import Center, full_loss, measure
from thalweg.landscape.data import Data, materialise
from thalweg.landscape.landscape import Landscape
from thalweg.landscape.posterior import Posterior, Restriction
from thalweg.landscape.records import Estimate, Trace

__all__ = [
    "Center",
    "Data",
    "Estimate",
    "Landscape",
    "Posterior",
    "Restriction",
    "Trace",
    "full_loss",
    "landscape",
    "materialise",
    "measure",
    "potential",
]
