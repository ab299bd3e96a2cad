"""Reinforcement learning: decision processes, environments, policies; regret exact and sampled."""

from thalweg.rl import corner
from thalweg.rl.chests import keys_and_chests
from thalweg.rl.environments import Box, CartPole, Discrete, Environment, Episodes, Played
from thalweg.rl.exact import Ascent, Moment, ascend
from thalweg.rl.gridworld import Gridworld, gridworld
from thalweg.rl.gym import GymEnvironment
from thalweg.rl.landscape import Tabular, regret_landscape
from thalweg.rl.lava import lava_world
from thalweg.rl.learning import PPO, Progress, Reinforce, learn
from thalweg.rl.levels import Levels
from thalweg.rl.mdp import MDP, Gains
from thalweg.rl.planning import LARGEST, Planned, follow, plan
from thalweg.rl.policy_iteration import Plan, entropy
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.rl.rows import mixture
from thalweg.rl.sampled import sampled_landscape
from thalweg.rl.sb3 import from_sb3, learn_sb3
from thalweg.rl.tables import grid_levels, process

__all__ = [
    "LARGEST",
    "MDP",
    "PPO",
    "Ascent",
    "Box",
    "CartPole",
    "Discrete",
    "Environment",
    "Episodes",
    "Gains",
    "Gridworld",
    "GymEnvironment",
    "Levels",
    "Moment",
    "Plan",
    "Planned",
    "Played",
    "Progress",
    "Reinforce",
    "Tabular",
    "Trajectories",
    "ascend",
    "corner",
    "entropy",
    "follow",
    "from_sb3",
    "grid_levels",
    "gridworld",
    "keys_and_chests",
    "lava_world",
    "learn",
    "learn_sb3",
    "mixture",
    "plan",
    "process",
    "regret_landscape",
    "rollout",
    "sampled_landscape",
]
