"""Environments: what a policy acts in, small worlds of our own, Gymnasium's."""

from thalweg.envs import corner
from thalweg.envs.base import Box, CartPole, Discrete, Environment, Episodes, Played
from thalweg.envs.gridworld import MOVES, Gridworld, gridworld
from thalweg.envs.gymnasium._environment import GymEnvironment
from thalweg.envs.gymnasium._spaces import kind_of
from thalweg.envs.gymnasium.tables import grid_levels, process
from thalweg.envs.keys_and_chests import keys_and_chests
from thalweg.envs.lava import lava_world

__all__ = [
    "MOVES",
    "Box",
    "CartPole",
    "Discrete",
    "Environment",
    "Episodes",
    "Gridworld",
    "GymEnvironment",
    "Played",
    "corner",
    "grid_levels",
    "gridworld",
    "keys_and_chests",
    "kind_of",
    "lava_world",
    "process",
]
