"""Policies of Stable-Baselines3 as ours, and its algorithms as learners that stop at checkpoints."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.rl.environments import Environment
from thalweg.rl.learning import Progress
from thalweg.rl.rollouts import rollout


class FromSB3(nn.Module):
    """A policy of Stable-Baselines3 (PPO, A2C) as ours, with the parameter names that its checkpoints have.

    The layers that only the value has are frozen.
    """

    features_extractor: nn.Module
    mlp_extractor: Any
    action_net: nn.Module
    log_std: Tensor

    def __init__(self, policy: nn.Module) -> None:
        super().__init__()
        for name, child in policy.named_children():
            setattr(self, name, child)
        for name, own in policy.named_parameters(recurse=False):
            self.register_parameter(name, own)
        self.discrete = not hasattr(policy, "log_std")
        for name, own in self.named_parameters():
            own.requires_grad_("value" not in name and "vf_" not in name)

    def forward(self, seen: Tensor) -> Tensor:
        """Observations (B, ...) -> logits, or means and log standard deviations."""
        hidden = self.mlp_extractor.forward_actor(self.features_extractor(seen))
        found = self.action_net(hidden)
        return found if self.discrete else torch.cat([found, self.log_std.expand_as(found)], -1)


def from_sb3(algorithm: Any) -> FromSB3:
    """The policy of a Stable-Baselines3 algorithm, as a module of observations.

    Args:
        algorithm: an A2C or PPO with a policy of separate or shared layers and no generalised noise.

    Raises:
        InputError: an algorithm whose policy is none of those.
    """
    policy = getattr(algorithm, "policy", algorithm)
    parts = ("features_extractor", "mlp_extractor", "action_net")
    if not all(hasattr(policy, part) for part in parts) or getattr(policy, "use_sde", False):
        raise InputError(
            f"a policy of kind {type(policy).__name__} is not understood: give PPO or A2C with an actor-critic policy"
        )
    return FromSB3(policy)


def learn_sb3(
    algorithm: Any, environment: Environment, *, steps: int, every: int, episodes: int = 64
) -> Iterator[Progress]:
    """Let Stable-Baselines3 learn, and stop at each checkpoint.

    Args:
        algorithm: an A2C or PPO of Stable-Baselines3, with its own environment.
        environment: the same as one of ours, in which returns are measured.
        steps: of the environment, in all; the algorithm rounds them up to its own rollouts.
        every: steps between checkpoints.
        episodes: that each return is measured over, of the seeds 0, 1, 2 and so on.
    """
    if steps < 1 or every < 1:
        raise InputError(f"steps = {steps}, every = {every}: give at least one of each")
    policy, done = from_sb3(algorithm), 0
    while True:
        played = rollout(policy, environment, torch.arange(episodes))
        weights = {k: w.detach().clone() for k, w in policy.state_dict().items()}
        score = played.rewards.sum(1).mean().item()
        yield Progress(done, weights, score, played.returns(environment.discount).mean().item())
        if done >= steps:
            return
        algorithm.learn(min(every, steps - done), reset_num_timesteps=done == 0)
        done = int(algorithm.num_timesteps)


__all__ = ["FromSB3", "from_sb3", "learn_sb3"]
