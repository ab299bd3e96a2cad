"""Gymnasium's environments as ours, and its small ones as tables."""

from thalweg.envs.gymnasium.environment import GymEnvironment
from thalweg.envs.gymnasium.spaces import kind_of
from thalweg.envs.gymnasium.tables import grid_levels, process

__all__ = [
    "GymEnvironment",
    "grid_levels",
    "kind_of",
    "process",
]
