"""Regret of policies as landscapes, exact and sampled; rollouts, policy gradients, learners."""

from thalweg.old_names import old_name
from thalweg.rl.exact_gradient import Ascent, Moment, ascend
from thalweg.rl.exact_regret import LevelRegret, PolicyLosses, Tabular, regret_landscape
from thalweg.rl.learning import PPO, Progress, Reinforce, learn
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.rl.sampled_regret import sampled_landscape
from thalweg.rl.sb3 import from_sb3, learn_sb3

__all__ = [
    "PPO",
    "Ascent",
    "LevelRegret",
    "Moment",
    "PolicyLosses",
    "Progress",
    "Reinforce",
    "Tabular",
    "Trajectories",
    "ascend",
    "from_sb3",
    "learn",
    "learn_sb3",
    "regret_landscape",
    "rollout",
    "sampled_landscape",
]

__getattr__ = old_name("rl")
