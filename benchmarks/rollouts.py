"""Environment steps a second on CartPole: our batch, Gymnasium's vector environments, Stable-Baselines3's rollouts.

All in one run, one thread. Ours counts steps of episodes that are under way, with a policy of two tanh layers of
64; Gymnasium's steps are counted without any policy, its actions drawn beforehand.
"""

import time
from collections.abc import Callable

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from thalweg.envs import CartPole
from thalweg.rl import rollout

EPISODES, COPIES, STEPS, REPEATS = 4096, 256, 300, 3


def ours() -> float:
    """Whole episodes, the policy included."""
    policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    began = time.perf_counter()
    played = rollout(policy, CartPole(), torch.arange(EPISODES))
    return int(played.alive.sum()) / (time.perf_counter() - began)


def vector(mode: str) -> float:
    """Gymnasium's vector environment, random actions."""
    copies = gymnasium.make_vec("CartPole-v1", num_envs=COPIES, vectorization_mode=mode)
    copies.reset(seed=0)
    actions = np.random.default_rng(0).integers(2, size=(STEPS, COPIES))
    began = time.perf_counter()
    for action in actions:
        copies.step(action)
    return STEPS * COPIES / (time.perf_counter() - began)


def baselines() -> float:
    """Rollouts of PPO of Stable-Baselines3, its policy included, nothing learnt from them."""
    copies = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 16)
    algorithm = stable_baselines3.PPO("MlpPolicy", copies, n_steps=256, device="cpu")
    algorithm.train = lambda: None
    began = time.perf_counter()
    algorithm.learn(4 * 256 * 16)
    return 4 * 256 * 16 / (time.perf_counter() - began)


def main() -> None:
    """Print the best of some repeats of each."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    contenders: dict[str, Callable[[], float]] = {
        "thalweg, episodes with a policy": ours,
        "gymnasium, vector_entry_point, no policy": lambda: vector("vector_entry_point"),
        "gymnasium, sync, no policy": lambda: vector("sync"),
        "stable-baselines3, rollouts with a policy": baselines,
    }
    best = {label: max(run() for _ in range(REPEATS)) for label, run in contenders.items()}
    own = next(iter(best.values()))
    for label, rate in best.items():
        print(f"{label:44} {rate:12,.0f} steps/s   ours is {own / rate:6.2f} x")


if __name__ == "__main__":
    main()
