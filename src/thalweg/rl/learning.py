"""Policy-gradient learning from episodes: REINFORCE with a baseline, and PPO, in plain torch.

Both play whole episodes, whose seeds are drawn from the run's, and stop at each checkpoint as `rl.exact` does.
Source: Williams 1992; Schulman et al. 2017 (arXiv 1707.06347); Schulman et al. 2016 (arXiv 1506.02438) for
generalised advantages.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.rl.environments import Environment
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.rng import seeded, stream
from thalweg.types import Params

SEEDS = 1 << 40  # episodes are named by whole numbers below it


@dataclass(frozen=True)
class Reinforce:
    """REINFORCE: one step of Adam along the sum of log probabilities times advantages.

    Attributes:
        updates: in all.
        episodes: played for each update.
        learning_rate: of Adam.
        every: updates between checkpoints; one is kept before the first and one after the last.
        gae: lambda of generalised advantages; 1 takes rewards to go less the baseline.
        entropy: paid a nat.
        grad_norm: gradients longer than it are cut to it.
    """

    updates: int
    episodes: int
    learning_rate: float
    every: int
    gae: float = 1.0
    entropy: float = 0.0
    grad_norm: float = 10.0
    epochs: int = 1
    minibatches: int = 1
    clip: float = float("inf")


@dataclass(frozen=True)
class PPO(Reinforce):
    """PPO: some epochs of steps on ratios of probabilities, clipped.

    Attributes:
        epochs: over the steps of an update's episodes.
        minibatches: that each epoch is cut into.
        clip: ratios beyond 1 +- clip have no gradient that leads further.
    """

    gae: float = 0.95
    grad_norm: float = 0.5
    epochs: int = 4
    minibatches: int = 4
    clip: float = 0.2


class Progress(NamedTuple):
    """Where a run stands.

    Attributes:
        step: updates taken.
        weights: of the policy.
        mean_return: discounted, over the episodes of the next update.
        mean_score: the same undiscounted.
    """

    step: int
    weights: Params
    mean_return: float
    mean_score: float


def learn(
    build: Callable[[], nn.Module],
    environment: Environment,
    settings: Reinforce | PPO,
    seed: int,
    *,
    value: Callable[[], nn.Module] | None = None,
) -> Iterator[Progress]:
    """Train a policy, and stop at each checkpoint. One seed gives one run.

    Args:
        build: makes the policy, observations (B, ...) -> logits, or means and log standard deviations; its
            initialisation is drawn from the seed.
        environment: that is played.
        settings: `Reinforce(...)` or `PPO(...)`.
        seed: of the run.
        value: makes a baseline, observations (B, ...) -> (B, 1), trained beside the policy; without one the
            baseline is the mean reward to go at each time of the episode.

    Raises:
        InputError: settings out of range, a loss that is not finite.
    """
    _check(settings)
    with seeded(seed, "initialisation"):
        policy, critic = build(), value() if value else None
    moving = [*policy.parameters(), *(critic.parameters() if critic else [])]
    optimizer = torch.optim.Adam(moving, lr=settings.learning_rate)
    own = stream(seed, "episodes")
    for step in range(settings.updates + 1):
        names = torch.randint(SEEDS, (settings.episodes,), generator=own)
        played = rollout(policy, environment, names)
        if step % settings.every == 0 or step == settings.updates:
            weights = {k: w.detach().clone() for k, w in policy.state_dict().items()}
            scores = played.returns(environment.discount).mean().item(), played.rewards.sum(1).mean().item()
            yield Progress(step, weights, *scores)
        if step < settings.updates:
            _update(policy, critic, environment, settings, optimizer, played, own)


def advantages(played: Trajectories, values: Tensor, discount: float, decay: float) -> Tensor:
    """(B, T) generalised advantages: sums of temporal differences, decayed by discount * decay.

    Args:
        played: episodes.
        values: (B, T + 1) of the observations before each step and after the last; an episode that ended by
            itself is worth 0 then, one that the horizon cut its last value.
        discount: of the environment.
        decay: lambda; 0 takes one difference, 1 rewards to go.
    """
    alive = played.alive.to(values)
    ahead = torch.cat([alive[:, 1:], torch.zeros_like(alive[:, :1])], 1)
    last = alive * (1 - ahead)
    after = values[:, 1:] * ahead + last * (values[:, -1:] * (~played.ended).to(values)[:, None])
    errors = (played.rewards.to(values) + discount * after - values[:, :-1]) * alive
    found, total = [], torch.zeros_like(errors[:, 0])
    for step in reversed(range(errors.shape[1])):
        total = errors[:, step] + discount * decay * ahead[:, step] * total
        found.append(total)
    return torch.stack(found[::-1], 1)


def _update(
    policy: nn.Module,
    critic: nn.Module | None,
    environment: Environment,
    settings: Reinforce,
    optimizer: torch.optim.Optimizer,
    played: Trajectories,
    own: torch.Generator,
) -> None:
    """One update from the episodes of one rollout."""
    alive, kind = played.alive, environment.actions
    with torch.no_grad():
        values = _values(critic, played, environment.discount)
        gains = advantages(played, values, environment.discount, settings.gae)
    seen, actions, before = played.observations[alive], played.actions[alive], played.log_prob[alive]
    goals = (gains + values[:, :-1])[alive]
    flat = gains[alive] / gains[alive].std().clamp(min=1e-8)
    count = len(seen)
    for _ in range(settings.epochs):
        order = torch.randperm(count, generator=own)
        for rows in order.chunk(settings.minibatches):
            outputs = policy(seen[rows])
            ratio = (kind.log_prob(outputs, actions[rows]) - before[rows]).exp()
            clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            loss = -torch.minimum(ratio * flat[rows], clipped * flat[rows]).mean()
            loss = loss - settings.entropy * kind.entropy(outputs).mean()
            if critic is not None:
                loss = loss + 0.5 * (critic(seen[rows])[:, 0] - goals[rows]).square().mean() / goals.var().clamp(
                    min=1e-8
                )
            if not torch.isfinite(loss):
                raise InputError(
                    "the loss of the policy is not finite: the run diverged, take a smaller learning_rate"
                )
            optimizer.zero_grad()
            loss.backward()
            for group in (policy, critic):
                if group is not None:
                    nn.utils.clip_grad_norm_(group.parameters(), settings.grad_norm)
            optimizer.step()


def _values(critic: nn.Module | None, played: Trajectories, discount: float) -> Tensor:
    """(B, T + 1) the baseline before each step, and after the last."""
    alive, steps = played.alive, played.alive.shape[1]
    if critic is None:  # mean reward to go by time; at the horizon it is taken for 0
        powers = (discount ** torch.arange(steps, dtype=torch.float64)).to(played.rewards.dtype)
        ahead = (played.rewards * powers).flip(1).cumsum(1).flip(1) / powers
        mean = (ahead * alive).sum(0) / alive.sum(0).clamp(min=1)
        return torch.cat([mean * alive, torch.zeros_like(ahead[:, :1])], 1)
    last = critic(played.last)[:, :1]
    values = torch.zeros(alive.shape, dtype=last.dtype)
    values[alive] = critic(played.observations[alive])[:, 0]
    return torch.cat([values, last], 1)


def _check(settings: Reinforce) -> None:
    """Refuse settings out of range."""
    whole = ("updates", "episodes", "every", "epochs", "minibatches")
    for name in whole:
        if getattr(settings, name) < 1:
            raise InputError(f"{name} = {getattr(settings, name)}: give a whole number of at least 1")
    if settings.episodes < 2:
        raise InputError("episodes = 1: give at least two, so that a baseline can be taken")
    for name, low, high in (("learning_rate", 0, float("inf")), ("gae", -1e-12, 1), ("clip", 0, float("inf"))):
        if not low < getattr(settings, name) <= high:
            raise InputError(f"{name} = {getattr(settings, name)}: out of its range")


__all__ = ["PPO", "Progress", "Reinforce", "advantages", "learn"]
