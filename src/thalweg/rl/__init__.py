"""Reinforcement learning: decision processes, environments, policies; regret exact and sampled; surfaces."""

from thalweg.rl.exact import Ascent, Moment, ascend
from thalweg.rl.landscape import Tabular, regret_landscape
from thalweg.rl.learning import PPO, Progress, Reinforce, learn
from thalweg.rl.levels import Levels
from thalweg.rl.mdp import MDP, Plan, entropy

__all__ = [
    "MDP",
    "PPO",
    "Ascent",
    "Levels",
    "Moment",
    "Plan",
    "Progress",
    "Reinforce",
    "Tabular",
    "ascend",
    "entropy",
    "learn",
    "regret_landscape",
]
