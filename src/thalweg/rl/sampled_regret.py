"""The regret of a policy as a landscape, sampled: minus the return of each seed's episode.

    G_n(w) = V* - (1/n) sum_i J_i(w),    V* left out: it cancels in the learning coefficient.

Each seed owns its first state, its chances and the noise of its actions, so that two policies are compared
seed by seed. The value of a loss is minus a return; its gradient is that of per-decision importance ratios,

    J_i = b_0 + sum_t discount^t rho_t (r_t + discount b_{t+1} - b_t),    rho_t = prod_{s <= t} pi_w / pi_anchor,

b = b_i the mean reward to go of the other seeds still alive at t, which has no expectation here and lowers the
variance; a seed's own return in it would shorten the gradient by one part in as many as are alive. Ratios are cut
at 10, which away from the anchor biases what they weigh.
At the anchor all ratios are 1, the sum is the return, and the gradient is REINFORCE with rewards to go.
Source: Precup, Sutton & Singh 2000; Jiang & Li 2016 (arXiv 1511.03722).

Inside a block of steps the trajectories of the last rollout are used again while the same seeds are asked for
and the effective sample size of the ratios is at least half of the seeds; then they are rolled out anew.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thalweg.envs import Discrete, Environment
from thalweg.errors import InputError
from thalweg.landscape import Data, Landscape, ModuleLosses, PerSample, copied, of_losses, one_path
from thalweg.rl._finite_minimum import sentence, ways
from thalweg.rl._policy_gradients import mean_of_others
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.types import Params, Tree

TRUNCATION = 10.0  # largest ratio
SHARP = (2.0, 16.0, 1024.0, 2.0**20)  # multiples of the logits that are played in doubt of a minimum
SIGMAS = 3.5  # standard errors over seeds by which returns must differ there
REPLAYED = 16  # episodes that are played twice at the door
FRESH = 0.5  # share of the seeds below which an effective sample size asks for new trajectories


def sampled_landscape(
    policy: nn.Module,
    environment: Environment,
    seeds: int | Tensor,
    *,
    n: int,
    temperature: float = 0.0,
    name: str | None = None,
) -> Landscape:
    """The sampled regret of a policy as a landscape around its weights; V* is left out, so its level is -J.

    Args:
        policy: observations (B, ...) -> logits, or means and log standard deviations.
        environment: that is played.
        seeds: how many, 0, 1, 2 and so on, or which (N,). Settings that draw batches of them roll out at every
            step; where every step takes all of them, trajectories are used again.
        n: sample size of the theory, episodes. Where the seeds are few beside nbeta, a chain fits their noise:
            give many more seeds than nbeta times the variance of a return.
        temperature: reward units that a nat of entropy is paid with, as in `regret_landscape`.
        name: identity in a store of an environment that its fields do not identify.

    Raises:
        InputError: outputs that do not fit the environment's actions, returns that are not finite, an environment
            that is not the same when seeds and actions are.
    """
    own = torch.arange(seeds) if isinstance(seeds, int) else torch.as_tensor(seeds, dtype=torch.int64)
    if own.ndim != 1 or len(own) < 2:
        raise InputError(f"seeds of shape {tuple(own.shape)}: give at least two whole numbers, or how many")
    module = copied(policy)
    rollout(module, environment, own[:REPLAYED]).check_replay(environment, own[:REPLAYED])
    losses = _SampledLosses(module, PerSample(_Returns(environment, temperature)), environment, temperature, _Kept())
    found = of_losses(losses, Data(own, torch.zeros(len(own))), n=n, name=name)
    return replace(found, engine="serial", engine_reason="episodes are rolled out replica by replica")


class _Returns(nn.Module):
    """Names what is measured, for a store; the losses themselves come from rollouts."""

    def __init__(self, environment: Environment, temperature: float) -> None:
        super().__init__()
        self.environment, self.temperature = environment, temperature

    def extra_repr(self) -> str:
        return f"{self.environment!r}, temperature={self.temperature}"

    def forward(self, returns: Tensor, zero: Tensor) -> Tensor:
        return zero - returns


@dataclass(eq=False)
class _Kept:
    """Trajectories of the last rollouts, between `begin` and `end` of a block; and what was counted.

    Attributes:
        open: whether a block is under way.
        anchors: seeds and their trajectories, by the number of seeds, the first and the last.
        rollouts: made so far.
        reuses: losses computed from trajectories of other weights.
        shares: sum of their effective sample sizes, as shares of the seeds.
    """

    open: bool = False
    anchors: dict[tuple[int, ...], tuple[Tensor, Trajectories]] = field(default_factory=dict)
    rollouts: int = 0
    reuses: int = 0
    shares: float = 0.0

    def __reduce__(self) -> tuple[Any, tuple]:
        """Trajectories stay where they were made."""
        return _Kept, ()

    def find(self, seeds: Tensor) -> Trajectories | None:
        """Trajectories of exactly these seeds, in a block."""
        held = self.anchors.get(_key(seeds))
        return held[1] if held is not None and torch.equal(held[0], seeds) else None

    def keep(self, seeds: Tensor, played: Trajectories) -> None:
        """Count a rollout, and in a block keep it."""
        self.rollouts += 1
        if self.open:
            self.anchors[_key(seeds)] = (seeds, played)

    def clear(self, open: bool) -> None:
        """A block begins, or ends."""
        self.open = open
        self.anchors.clear()


@dataclass(frozen=True)
class _SampledLosses(ModuleLosses):
    """Minus the return of each seed."""

    in_the_mean: ClassVar[bool] = True  # the gradient of a seed's loss is right in the mean over seeds alone

    environment: Environment
    temperature: float
    kept: _Kept = field(compare=False)

    def begin(self) -> None:
        self.kept.clear(True)

    def end(self) -> None:
        self.kept.clear(False)

    def __call__(self, params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        """Losses (B,) of seeds (B,)."""
        assert targets is not None
        tensors, kept = {**params, **frozen}, self.kept
        anchor = kept.find(inputs)
        if anchor is not None:
            logs = self._logs(tensors, anchor)
            share = _effective(logs.detach(), anchor)
            if share >= FRESH:
                kept.reuses, kept.shares = kept.reuses + 1, kept.shares + share
                return self.loss(self._returns(anchor, logs), targets.to(logs))
        played = self._rollout(tensors, inputs)
        kept.keep(inputs, played)
        logs = self._logs(tensors, played)
        return self.loss(self._returns(played, logs), targets.to(logs))

    def doubt(self, scape: Landscape, gradient: Tensor) -> str:
        """Whether discrete actions return more, seed by seed, the larger the logits; where no entropy is paid.

        Played are policies as sharp as `SHARP` says, along the lines of `sharpness`, against w* itself.
        """
        if self.temperature or not isinstance(self.environment.actions, Discrete):
            return ""
        assert scape.data is not None
        seeds = scape.data.inputs
        with torch.no_grad():
            fixed = {**scape.params, **scape.frozen}
            now, seen = self._played(fixed, seeds)
            for way in ways(self.module, scape, gradient, seen):
                gains = []
                for c in SHARP:
                    moved = {name: fixed[name] + (c - 1) * v for name, v in way.layer.items()}
                    gain = self._played({**fixed, **moved}, seeds)[0] - now
                    gains.append((gain.mean().item(), float(gain.std()) / len(gain) ** 0.5))
                if gains[-1][0] > SIGMAS * gains[-1][1] and all(gain > -SIGMAS * error for gain, error in gains):
                    return sentence(gains[-1][0])
        return ""

    def _played(self, tensors: Params, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (B,) of seeds, and their first observations (B, ...)."""
        played = self._rollout(tensors, seeds)
        return played.returns(self.environment.discount), played.observations[:, 0]

    def _rollout(self, tensors: Params, seeds: Tensor) -> Trajectories:
        """Episodes of the policy with these weights."""
        with one_path(seeds.device.type):
            return rollout(lambda seen: self.outputs(tensors, seen), self.environment, seeds)

    def _logs(self, tensors: Params, played: Trajectories) -> Tensor:
        """(B, T) nats: the actions' log probabilities under present weights; 0 after the end of an episode."""
        kind, alive = self.environment.actions, played.alive
        with one_path(alive.device.type):
            outputs = self.outputs(tensors, played.observations[alive])
        return torch.zeros_like(played.log_prob).masked_scatter(
            alive, kind.log_prob(outputs, played.actions[alive]).to(played.log_prob)
        )

    def _returns(self, played: Trajectories, logs: Tensor) -> Tensor:
        """(B,) returns by the ratios, around a baseline by time."""
        discount, steps = self.environment.discount, played.rewards.shape[1]
        powers = (discount ** torch.arange(steps, dtype=torch.float64)).to(logs)
        alive = played.alive.to(logs)
        ratios = torch.clamp((logs - played.log_prob).cumsum(1).exp(), max=TRUNCATION) * alive
        rewards = played.rewards.to(logs) - self.temperature * logs
        ahead = (rewards.detach() * powers).flip(1).cumsum(1).flip(1) / powers
        baseline = mean_of_others(ahead, played.alive) * alive
        after = torch.cat([baseline[:, 1:], baseline.new_zeros(len(baseline), 1)], 1)
        return baseline[:, 0] + (powers * ratios * (rewards - baseline + discount * after)).sum(1)


def _key(seeds: Tensor) -> tuple[int, ...]:
    return len(seeds), int(seeds[0]), int(seeds[-1])


def _effective(logs: Tensor, played: Trajectories) -> float:
    """(sum rho)^2 / sum rho^2 of the whole episodes' ratios, as a share of their number."""
    whole = torch.clamp((logs - played.log_prob).sum(1).exp(), max=TRUNCATION).to(torch.float64)
    return float(whole.sum().square() / whole.square().sum() / len(whole))
