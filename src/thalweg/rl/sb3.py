"""Policies of Stable-Baselines3 as ours, and its algorithms as learners that stop at checkpoints."""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.envs import Environment, kind_of
from thalweg.errors import InputError
from thalweg.rl.learning import Progress
from thalweg.rl.rollouts import rollout

SPACES = ("Box", "Discrete", "MultiBinary")  # of observations


class _FromSB3(nn.Module):
    """A policy of Stable-Baselines3 (PPO, A2C) as ours, with the parameter names that its checkpoints have.

    The layers that only the value has are frozen. Images, 8 bits a channel, become what the policy was trained on:
    channels first, divided by 255 unless it was made with normalize_images=False.
    """

    features_extractor: nn.Module
    mlp_extractor: Any
    action_net: nn.Module
    log_std: Tensor

    def __init__(self, policy: nn.Module) -> None:
        from stable_baselines3.common.preprocessing import is_image_space

        super().__init__()
        space: Any = policy.observation_space
        self.image: tuple[int, ...] | None = tuple(space.shape) if is_image_space(space) else None
        self.scale = 255.0 if self.image is not None and policy.normalize_images else 1.0
        # By all their names, as archives have them; copies, for the algorithm trains the layers that are frozen here.
        parts = {k: child for k, child in policy.named_modules(remove_duplicate=False) if k and "." not in k}
        for name, child in deepcopy(parts).items():
            setattr(self, name, child)
        for name, own in policy.named_parameters(recurse=False):
            self.register_parameter(name, deepcopy(own))
        self.discrete = not hasattr(policy, "log_std")
        for name, own in self.named_parameters():
            own.requires_grad_("value" not in name and "vf_" not in name)

    def extra_repr(self) -> str:
        """What is done to observations."""
        return f"image={self.image}, scale={self.scale:g}"

    def forward(self, seen: Tensor) -> Tensor:
        """Observations (B, ...) -> logits, or means and log standard deviations."""
        if self.image is not None:
            seen = (seen if seen.shape[1:] == self.image else seen.movedim(-1, 1)) / self.scale
        hidden = self.mlp_extractor.forward_actor(self.features_extractor(seen))
        found = self.action_net(hidden)
        return found if self.discrete else torch.cat([found, self.log_std.expand_as(found)], -1)


def from_sb3(algorithm: Any) -> _FromSB3:
    """The policy of a Stable-Baselines3 algorithm, as a module of observations: a copy of it as it is now.

    Args:
        algorithm: an A2C or PPO with a policy of separate or shared layers and no generalised noise, or its policy.
            Observations are those of `GymEnvironment`: of a Discrete space one-hot, images with channels first or
            last.

    Raises:
        InputError: an algorithm whose policy is none of those, observations of several parts, actions that are not
            Discrete or a flat Box, spaces that do not count from 0, observations that VecNormalize rescales.
    """
    policy = getattr(algorithm, "policy", algorithm)
    parts = ("features_extractor", "mlp_extractor", "action_net")
    if not all(hasattr(policy, part) for part in parts) or getattr(policy, "use_sde", False):
        raise InputError(
            f"a policy of kind {type(policy).__name__} is not understood: give PPO or A2C with an actor-critic policy"
        )
    kind = type(policy.observation_space).__name__
    if kind not in SPACES:
        raise InputError(f"a policy of observations of kind {kind}: only {', '.join(SPACES)} are understood")
    _check_counted(policy)
    scaler = algorithm.get_vec_normalize_env() if hasattr(algorithm, "get_vec_normalize_env") else None
    if scaler is not None and scaler.norm_obs:
        raise InputError(
            "the algorithm's observations are rescaled by VecNormalize, ours are not: give from_sb3(algorithm.policy)"
            " and an environment that rescales them, or train with norm_obs=False"
        )
    return _FromSB3(policy)


def _check_counted(policy: Any) -> None:
    """Refuse actions that are not ours, and numbers that Stable-Baselines3 counts from 0 and the space does not."""
    kind = kind_of(policy.action_space)
    if kind != "Discrete" and not (kind == "Box" and len(policy.action_space.shape) == 1):
        raise InputError(f"a policy of actions of kind {kind}: only Discrete and flat Box are understood")
    for what in ("observation", "action"):
        start = int(getattr(getattr(policy, f"{what}_space"), "start", 0))
        if start:
            raise InputError(
                f"the policy's {what}_space starts at {start}, Stable-Baselines3 counts from 0 and its algorithm has"
                " played other numbers: wrap the environment to start at 0, and train again"
            )


def learn_sb3(
    algorithm: Any, environment: Environment, *, steps: int, every: int, episodes: int = 64
) -> Iterator[Progress]:
    """Let Stable-Baselines3 learn, and stop at each checkpoint.

    Its schedules of learning rate and clipping run over all steps: the weights are those of one call of its `learn`.

    Args:
        algorithm: an A2C or PPO of Stable-Baselines3, with its own environment.
        environment: the same as one of ours, in which returns are measured.
        steps: of the environment, in all; the algorithm rounds them up to its own rollouts.
        every: steps between checkpoints.
        episodes: that each return is measured over, of the seeds 0, 1, 2 and so on.
    """
    if steps < 1 or every < 1:
        raise InputError(f"steps = {steps}, every = {every}: give at least one of each")
    done, pause = 0, _pause()
    while True:
        policy = from_sb3(algorithm)
        played = rollout(policy, environment, torch.arange(episodes))
        weights = {k: w.detach() for k, w in policy.state_dict().items()}
        score = played.rewards.sum(1).mean().item()
        yield Progress(done, weights, score, played.returns(environment.discount).mean().item())
        if done >= steps:
            return
        pause.at = done + every
        with suppress(_Paused):
            algorithm.learn(steps - done, callback=pause, reset_num_timesteps=done == 0)
        done = int(algorithm.num_timesteps)


class _Paused(Exception):  # noqa: N818  (it is no error)
    """A checkpoint is reached."""


def _pause() -> Any:
    """A callback that leaves `learn` at the first rollout that begins at step `at` or later.

    Between rollouts all that a run knows is kept by the algorithm. Called with the steps that are left, `learn`
    counts its progress against the whole; called for a part, it would run its schedules to their end in each.
    """
    from stable_baselines3.common.callbacks import BaseCallback

    class Pause(BaseCallback):
        at = 0

        def _on_rollout_start(self) -> None:
            if self.model.num_timesteps >= self.at:
                raise _Paused

        def _on_step(self) -> bool:
            return True

    return Pause()
