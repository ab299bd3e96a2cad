"""Reinforcement learning: decision processes, environments, policies; regret exact and sampled; surfaces."""

from thalweg.rl.exact import Ascent, Moment, ascend
from thalweg.rl.landscape import Tabular, regret_landscape
from thalweg.rl.levels import Levels
from thalweg.rl.mdp import MDP, Plan, entropy

__all__ = ["MDP", "Ascent", "Levels", "Moment", "Plan", "Tabular", "ascend", "entropy", "regret_landscape"]
