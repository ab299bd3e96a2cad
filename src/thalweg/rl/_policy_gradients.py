"""What policy gradients are made of: advantages, baselines, and losses of played episodes.    B episodes, T steps"""

import torch
from torch import Tensor, nn

from thalweg.envs import Box, Discrete
from thalweg.rl.rollouts import Trajectories

FLOOR = 1e-5  # of Adam in PPO, as in OpenAI's code; and of a standard deviation that is divided by (there 1e-8)


def advantages(rewards: Tensor, values: Tensor, last: Tensor, discount: float, gae: float) -> Tensor:
    """Generalised advantages: A_t = delta_t + discount gae A_{t+1}, delta_t = r_t + discount v_{t+1} - v_t.

    Rewards and values before each step (B, T) are 0 after the end, as is what comes back, float64; the value after
    the last step (B,) is 0 where the episode ended.
    Source: Schulman et al. 2016 (arXiv 1506.02438), eq. 16.
    """
    rewards, values, last = (x.to(torch.float64) for x in (rewards, values, last))
    change = rewards + discount * torch.cat([values[:, 1:], last[:, None]], 1) - values
    found, after = torch.zeros_like(change), torch.zeros_like(last)
    for step in reversed(range(change.shape[1])):
        after = change[:, step] + discount * gae * after
        found[:, step] = after
    return found


def rewards_to_go(rewards: Tensor, discount: float) -> Tensor:
    """(B, T) float64: discounted rewards from each step on, as seen from there."""
    return advantages(rewards, torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0]), discount, 1.0)


def mean_of_others(togo: Tensor, alive: Tensor) -> Tensor:
    """(B, T): at each time the mean of rewards to go over the other episodes under way; 0 where there are none."""
    total, count = (togo * alive).sum(0) - togo * alive, alive.sum(0) - alive.to(togo)
    return total / count.clamp(min=1)


def reinforce_loss(
    policy: nn.Module,
    kind: Discrete | Box,
    played: Trajectories,
    baseline: Tensor,
    discount: float,
    entropy: float = 0.0,
) -> Tensor:
    """A number whose gradient is, in expectation over episodes, minus that of the discounted return.

    The baseline (B, T) must not depend on the action of its step, nor on what came after in that episode; entropy is
    paid in reward units a nat.
    """
    alive = played.alive
    weight = discount ** torch.arange(alive.shape[1], dtype=torch.float64)
    gain = weight * (rewards_to_go(played.rewards, discount) - baseline)
    outputs = policy(played.observations[alive])
    score = gain[alive].to(outputs) * kind.log_prob(outputs, played.actions[alive])
    if entropy:
        score = score + entropy * weight.expand(alive.shape)[alive].to(outputs) * kind.entropy(outputs)
    return -score.sum() / len(alive)


def ppo_loss(new: Tensor, old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """The clipped surrogate, negated: eq. 7 of Schulman et al. 2017, with advantages (N,) normalised.

    Nats (N,) of the actions are `new` under the policy that is trained, `old` under the one that took them.
    """
    scaled = (advantage - advantage.mean()) / (advantage.std(correction=0) + FLOOR)
    ratio = (new - old).exp()
    return -torch.minimum(ratio * scaled, ratio.clamp(1 - clip, 1 + clip) * scaled).mean()
