"""Roll a policy out in an environment, all episodes at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg.envs import Environment
from thalweg.errors import InputError, guarded
from thalweg.rng import uniforms

CROWD = 0.5  # share of episodes under way below which the ended ones are left behind


@dataclass(frozen=True, eq=False)
class Trajectories:
    """What happened.                                                      B episodes, T steps at most

    Attributes:
        observations: (B, T, ...) before each step.
        actions: (B, T) or (B, T, size).
        rewards: (B, T), 0 after the end.
        log_prob: (B, T) nats, of each action under the policy that took it; 0 after the end.
        alive: (B, T) whether the step was taken.
        ended: (B,) whether the episode ended by itself, not by the horizon.
        last: (B, ...) observation after the last step.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    log_prob: Tensor
    alive: Tensor
    ended: Tensor
    last: Tensor

    def returns(self, discount: float) -> Tensor:
        """(B,) discounted sums of rewards, float64."""
        powers = discount ** torch.arange(self.rewards.shape[1], dtype=torch.float64)
        return (self.rewards.to(torch.float64) * powers).sum(1)

    def check_replay(self, environment: Environment, seeds: Tensor) -> None:
        """Refuse an environment in which the same seeds and actions do not give the same again.

        Args:
            environment: they were played in.
            seeds: (B,) of them.

        Raises:
            InputError: the environment, and the step where it differs.
        """
        called = getattr(environment, "title", type(environment).__name__)
        episodes = environment.begin(seeds)
        for step in range(self.alive.shape[1]):
            alive = self.alive[:, step]
            same = torch.equal(episodes.observations[alive], self.observations[alive, step])
            reward, _ = episodes.step(self.actions[:, step])
            if not same or not torch.equal(reward[alive], self.rewards[alive, step]):
                raise InputError(
                    f"environment {called} differs from itself at step {step}, seeds and actions played again: its"
                    " chances must come from the seed (self.np_random, which super().reset(seed=seed) makes)"
                )


def rollout(policy: Callable[[Tensor], Any], environment: Environment, seeds: Tensor) -> Trajectories:
    """Play one episode of each seed. The same policy and seeds give the same episodes.

    Args:
        policy: observations (B, ...) -> logits, or means and log standard deviations; see `Discrete` and `Box`.
        environment: that is played.
        seeds: (B,) whole numbers; they draw first states, chances and the noise of actions.

    Raises:
        InputError: outputs of the wrong shape or not finite, rewards or observations that are not finite.
    """
    kind, horizon = environment.actions, environment.horizon
    episodes = environment.begin(seeds)
    noise = uniforms(seeds, horizon * kind.noise, "actions").reshape(len(seeds), horizon, kind.noise)
    rows = torch.arange(len(seeds))
    ended, last = torch.zeros(len(seeds), dtype=torch.bool), episodes.observations.clone()
    kept: list[tuple[Tensor, ...]] = []
    with torch.no_grad():
        for step in range(horizon):
            seen, alive = episodes.observations, ~ended[rows]
            if not alive.any():
                break
            if alive.float().mean() < CROWD:
                episodes, rows = episodes.only(alive), rows[alive]
                seen, alive = episodes.observations, alive[alive]
            with guarded("policy", "give a module of observations (B, ...)"):
                outputs = policy(seen)
            if step == 0:
                kind.check(outputs, len(rows))
            actions = kind.sample(outputs, noise[rows, step])
            reward, stopped = episodes.step(actions)
            _check(outputs, reward, step)
            kept.append((rows, seen, actions, reward, kind.log_prob(outputs, actions), alive))
            ended[rows] = stopped
            last[rows] = episodes.observations
    return _gather(kept, len(seeds), ended, last)


def _check(outputs: Tensor, reward: Tensor, step: int) -> None:
    if not torch.isfinite(reward).all():
        raise InputError(
            f"environment gives a reward of {reward[~torch.isfinite(reward)][0]} at step {step}: mend it"
        )
    if not torch.isfinite(outputs).all():
        raise InputError(f"policy gives outputs that are not finite at step {step}: its weights had diverged")


def _gather(kept: list[tuple[Tensor, ...]], batch: int, ended: Tensor, last: Tensor) -> Trajectories:
    """Steps of all episodes side by side; what an episode did not live is zero."""
    columns = []
    for part in range(1, 6):
        like = kept[0][part]
        whole = torch.zeros((batch, len(kept), *like.shape[1:]), dtype=like.dtype)
        for step, found in enumerate(kept):
            whole[found[0], step] = found[part]
        columns.append(whole)
    seen, actions, rewards, log_prob, alive = columns
    return Trajectories(seen, actions, rewards * alive, log_prob * alive, alive, ended, last)
