"""Landscapes: the first record, and everything that makes one."""

from thalweg.landscape._copies import copied
from thalweg.landscape._loss import PerSample
from thalweg.landscape._passes import ModuleLosses, PotentialLosses, one_path
from thalweg.landscape.build import landscape, of_losses, other_data, potential
from thalweg.landscape.center import Center, full_loss, measure
from thalweg.landscape.data import Data, materialise
from thalweg.landscape.gradients import announce, checked_gradients, said
from thalweg.landscape.landscape import Landscape, Losses
from thalweg.landscape.posterior import KINDS, Kind, LocalizedPosterior, Restriction
from thalweg.landscape.records import Estimate, Relaxation, Trace
from thalweg.landscape.relaxation import relax, sampled_point

__all__ = [
    "KINDS",
    "Center",
    "Data",
    "Estimate",
    "Kind",
    "Landscape",
    "LocalizedPosterior",
    "Losses",
    "ModuleLosses",
    "PerSample",
    "PotentialLosses",
    "Relaxation",
    "Restriction",
    "Trace",
    "announce",
    "checked_gradients",
    "copied",
    "full_loss",
    "landscape",
    "materialise",
    "measure",
    "of_losses",
    "one_path",
    "other_data",
    "potential",
    "relax",
    "said",
    "sampled_point",
]
