"""Reinforcement learning: decision processes, environments, policies; regret exact and sampled; surfaces."""

from thalweg.old_names import old_name
from thalweg.rl.exact_gradient import Ascent, Moment, ascend
from thalweg.rl.exact_regret import LevelRegret, PolicyLosses, Tabular, regret_landscape
from thalweg.rl.learning import PPO, Progress, Reinforce, learn
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.rl.sampled_regret import sampled_landscape
from thalweg.rl.sb3 import from_sb3, learn_sb3
from thalweg.rl.surfaces import Cliff, Line, Surface, along, check_plane, cliffs, has_plane, line, surface

__all__ = [
    "PPO",
    "Ascent",
    "Cliff",
    "LevelRegret",
    "Line",
    "Moment",
    "PolicyLosses",
    "Progress",
    "Reinforce",
    "Surface",
    "Tabular",
    "Trajectories",
    "along",
    "ascend",
    "check_plane",
    "cliffs",
    "from_sb3",
    "has_plane",
    "learn",
    "learn_sb3",
    "line",
    "regret_landscape",
    "rollout",
    "sampled_landscape",
    "surface",
]

__getattr__ = old_name("rl")
