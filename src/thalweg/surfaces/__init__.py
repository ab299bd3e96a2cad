"""Surfaces: the loss around a w*, on planes and along its gradient; the cliffs of a run."""

from thalweg.surfaces.cliffs import Cliff, cliffs
from thalweg.surfaces.line import Line, along, line
from thalweg.surfaces.plane import Surface, check_plane, has_plane, surface

__all__ = [
    "Cliff",
    "Line",
    "Surface",
    "along",
    "check_plane",
    "cliffs",
    "has_plane",
    "line",
    "surface",
]
