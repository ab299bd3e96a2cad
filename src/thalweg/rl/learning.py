"""Policy gradients from episodes that are played: REINFORCE and PPO.            B episodes, T steps, N = all steps

Everything is drawn from one seed: initial weights, the seeds of each update's episodes, minibatches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor, nn

from thalweg.envs import Environment
from thalweg.errors import InputError, guarded
from thalweg.rl._policy_gradients import FLOOR, advantages, mean_of_others, ppo_loss, reinforce_loss, rewards_to_go
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.rng import seeded, stream
from thalweg.types import Params

HIDDEN = 64  # width of the two layers of a value function made here


@dataclass(frozen=True)
class Reinforce:
    """Gradients of the discounted return by the likelihood ratio, unbiased, with a baseline.

    Each update plays new episodes and takes one step of Adam along

        1/B sum_b sum_t discount^t (G_bt - b_bt) grad log pi(a_bt | o_bt),    G the discounted reward to go.

    The baseline b is a value function of the observation, fitted to earlier updates alone; or, where observations
    are whole numbers and no value function is given, the mean of G at that time over the other episodes.
    Source: Williams 1992; Sutton et al. 2000. Most code leaves discount^t out, and has the gradient of no return.

    Attributes:
        updates: in all.
        episodes: played for each update.
        learning_rate: of Adam.
        every: updates between checkpoints; one is kept before the first and one after the last.
        entropy: reward units a nat of the policy's entropy is paid with at each step played. Only the entropy's own
            gradient is taken, not that of being led to where it is large.
        value_learning_rate: of the value function's Adam.
        fits: steps of it, each on all steps played, after each update.
    """

    updates: int
    episodes: int
    learning_rate: float
    every: int
    entropy: float = 0.0
    value_learning_rate: float = 1e-3
    fits: int = 10

    def __post_init__(self) -> None:
        _check_counts(self, "updates", "episodes", "every", "fits")
        _check_numbers(self, above=("learning_rate", "value_learning_rate"), least=("entropy",))


@dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation with clipped ratios.

    Each update plays new episodes, and passes over their steps several times by minibatches, with Adam on

        -mean min(rho A, clip(rho, 1 - clip, 1 + clip) A) + value/2 mean (v - v_target)^2 - entropy mean H,

    rho the ratio of new to old probability, A the generalised advantage, normalised in each minibatch. An episode
    cut by the horizon goes on, in A, with the value of its last observation; one that ended does not.
    Source: Schulman et al. 2017 (arXiv 1707.06347), eq. 7 and 9; advantages Schulman et al. 2016 (arXiv
    1506.02438), eq. 16. Ours plays whole episodes, so that the steps of an update vary in number; steps are not
    weighted by discount^t, as is the custom.

    Attributes:
        updates: in all.
        episodes: played for each update.
        learning_rate: of Adam, for policy and value function.
        every: updates between checkpoints; one is kept before the first and one after the last.
        epochs: passes over the steps of an update.
        minibatches: of each pass.
        clip: distance from 1 at which a ratio is clipped.
        gae: lambda in [0, 1]; 1 for the advantage by Monte Carlo, 0 for that of one step.
        entropy: weight of the entropy in nats, in units of normalised advantages.
        value: weight of the value function's loss.
        grad_norm: the norm that the gradient of policy and value function together is cut to.
        decay: whether the learning rate falls linearly to zero.
    """

    updates: int
    episodes: int
    learning_rate: float
    every: int
    epochs: int = 4
    minibatches: int = 4
    clip: float = 0.2
    gae: float = 0.95
    entropy: float = 0.0
    value: float = 0.5
    grad_norm: float = 0.5
    decay: bool = False

    def __post_init__(self) -> None:
        _check_counts(self, "updates", "episodes", "every", "epochs", "minibatches")
        _check_numbers(self, above=("learning_rate", "clip", "grad_norm"), least=("gae", "entropy", "value"))
        if self.gae > 1:
            raise InputError(f"gae = {self.gae}: give a number in [0, 1]")


class Progress(NamedTuple):
    """Where a run stands.

    Attributes:
        step: updates taken.
        weights: of the policy, a copy of its state dict.
        mean_return: of episodes just played by these weights, undiscounted.
        discounted_return: of the same episodes.
    """

    step: int
    weights: Params
    mean_return: float
    discounted_return: float


def learn(
    build: Callable[[], nn.Module],
    environment: Environment,
    settings: Reinforce | PPO,
    seed: int,
    *,
    value: Callable[[], nn.Module] | None = None,
) -> Iterator[Progress]:
    """Train a policy on episodes, and stop at each checkpoint. The same seed gives the same bits.

    Args:
        build: makes the policy, observations (B, ...) -> logits, or means and log standard deviations; its
            initialisation is drawn from the seed. It is used in evaluation mode.
        environment: that is played.
        settings: how.
        seed: of the whole run.
        value: makes the value function, observations (B, ...) -> (B,) or (B, 1). Default two tanh layers of 64 over
            flattened observations; where those are whole numbers, PPO puts a linear layer on another
            network of `build`'s, and REINFORCE has a baseline by time.

    Raises:
        InputError: outputs of the wrong shape; a run that diverged.
    """
    with seeded(seed, "initialisation"):
        policy = build().eval()
    with seeded(seed, "value"):
        critic = value() if value is not None else _critic(build, environment, isinstance(settings, PPO))
    critic = critic.eval() if critic is not None else None
    if isinstance(settings, Reinforce):
        update = _reinforce(policy, critic, environment, settings)
    else:
        assert critic is not None
        update = _ppo(policy, critic, environment, settings, seed)
    for step in range(settings.updates + 1):
        seeds = torch.randint(1 << 62, (settings.episodes,), generator=stream(seed, "episodes", step))
        played = rollout(policy, environment, seeds)
        if step % settings.every == 0 or step == settings.updates:
            weights = {name: held.detach().clone() for name, held in policy.state_dict().items()}
            plain, discounted = (played.returns(d).mean().item() for d in (1.0, environment.discount))
            yield Progress(step, weights, plain, discounted)
        if step < settings.updates:
            update(step, played)


Update = Callable[[int, Trajectories], None]


def _reinforce(policy: nn.Module, critic: nn.Module | None, environment: Environment, settings: Reinforce) -> Update:
    """One step of the policy, then some of the value function: the baseline has not seen the episodes it serves."""
    kind, discount = environment.actions, environment.discount
    adam = torch.optim.Adam(policy.parameters(), settings.learning_rate)
    fit = torch.optim.Adam(critic.parameters(), settings.value_learning_rate) if critic is not None else None

    def update(step: int, played: Trajectories) -> None:
        togo, alive = rewards_to_go(played.rewards, discount), played.alive
        baseline = _values(critic, played)[0] if critic is not None else mean_of_others(togo, alive)
        loss = reinforce_loss(policy, kind, played, baseline, discount, settings.entropy)
        _descend(adam, loss, step)
        if critic is not None and fit is not None:
            for _ in range(settings.fits):
                _descend(fit, _misfit(critic, played.observations[alive], togo[alive]), step)

    return update


def _ppo(policy: nn.Module, critic: nn.Module, environment: Environment, settings: PPO, seed: int) -> Update:
    """Several passes over the steps of an update."""
    kind, discount = environment.actions, environment.discount
    parameters = [*policy.parameters(), *critic.parameters()]
    adam = torch.optim.Adam(parameters, settings.learning_rate, eps=FLOOR)

    def update(step: int, played: Trajectories) -> None:
        if settings.decay:
            adam.param_groups[0]["lr"] = settings.learning_rate * (1 - step / settings.updates)
        values, last = _values(critic, played)
        gain = advantages(played.rewards, values, last, discount, settings.gae)
        columns = (played.observations, played.actions, played.log_prob, gain, gain + values)
        seen, actions, old, gain, target = (x[played.alive] for x in columns)
        mixed = stream(seed, "minibatches", step)
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(seen), generator=mixed).tensor_split(min(settings.minibatches, len(seen))):
                outputs = policy(seen[rows])
                new = kind.log_prob(outputs, actions[rows])
                loss = ppo_loss(new, old[rows], gain[rows].to(new), settings.clip)
                loss = loss + settings.value / 2 * _misfit(critic, seen[rows], target[rows]).to(loss)
                loss = loss - settings.entropy * kind.entropy(outputs).mean()
                _descend(adam, loss, step, parameters, settings.grad_norm)

    return update


def _descend(
    adam: torch.optim.Adam, loss: Tensor, step: int, parameters: Sequence[Tensor] = (), norm: float = inf
) -> None:
    """One step of Adam, if there is a number to lower."""
    if not torch.isfinite(loss):
        raise InputError(f"the loss of update {step} is {loss.item()}: the run diverged, lower the learning rate")
    adam.zero_grad()
    loss.backward()
    if parameters:
        nn.utils.clip_grad_norm_(parameters, norm)
    adam.step()


def _values(critic: nn.Module, played: Trajectories) -> tuple[Tensor, Tensor]:
    """Values (B, T) before each step and (B,) after the last, float64; 0 after the end."""
    values = torch.zeros(played.alive.shape, dtype=torch.float64)
    with torch.no_grad():
        values[played.alive] = _value(critic, played.observations[played.alive]).to(torch.float64)
        last = _value(critic, played.last).to(torch.float64)
    return values, torch.where(played.ended, 0.0, last)


def _value(critic: nn.Module, seen: Tensor) -> Tensor:
    """(N,) values of observations (N, ...)."""
    with guarded("value", "give a module of observations (B, ...)"):
        found = critic(seen)
    if found.shape not in ((len(seen),), (len(seen), 1)):
        raise InputError(f"value gives {tuple(found.shape)} for {len(seen)} observations: give ({len(seen)},)")
    return found.reshape(-1)


def _misfit(critic: nn.Module, seen: Tensor, target: Tensor) -> Tensor:
    found = _value(critic, seen)
    return (found - target.to(found)).square().mean()


def _critic(build: Callable[[], nn.Module], environment: Environment, needed: bool) -> nn.Module | None:
    """The value function of one who gave none."""
    first = environment.begin(torch.zeros(1, dtype=torch.int64)).observations
    if first.is_floating_point():
        widths = [first[0].numel(), HIDDEN, HIDDEN]
        layers = [x for a, b in pairwise(widths) for x in (nn.Linear(a, b), nn.Tanh())]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(HIDDEN, 1)).to(first.dtype)
    if not needed:
        return None
    body = build().eval()
    with guarded("policy", "give a module of observations (B, ...)"), torch.no_grad():
        found = body(first)
    environment.actions.check(found, 1)
    return nn.Sequential(body, nn.Linear(found.shape[1], 1, dtype=found.dtype))


def _check_counts(settings: Reinforce | PPO, *names: str) -> None:
    for name in names:
        given = getattr(settings, name)
        if not isinstance(given, int) or given < 1:
            raise InputError(f"{name} = {given!r}: give a whole number of at least 1")


def _check_numbers(settings: Reinforce | PPO, above: tuple[str, ...], least: tuple[str, ...]) -> None:
    for name in (*above, *least):
        given = getattr(settings, name)
        if not 0 <= given < inf or (name in above and not given):
            raise InputError(f"{name} = {given!r}: give a number {'above' if name in above else 'of at least'} 0")
