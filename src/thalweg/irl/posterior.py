"""From behaviour to a posterior over values: tempered SMC for its evidence, HMC on a ladder for the rest.

    p(theta | choices) ~ exp l(theta),  theta uniform on its class        N draws, D weights, S states, A actions

Nothing here certifies: a credible set holds on average over the prior only, and an estimated log Z too high by one
nat triples the failures of a set that is built on it.
Source: see `thalweg.samplers.smc` and `thalweg.samplers.temper`; rewards are divided by their return range before
they are averaged, since behaviour tells them up to their scale only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from thalweg.effort import affordable, announce, seconds_of
from thalweg.errors import InputError
from thalweg.estimators import ESS_CUT, RHAT_CUT, diagnose, precision, split_rhat
from thalweg.irl.likelihood import Likelihood
from thalweg.landscape import Estimate
from thalweg.mdp import MDP, Gains, reward_distance
from thalweg.results import Reasoned
from thalweg.rng import stream
from thalweg.samplers import Cloud, Move, Target, pilot, temper, travel
from thalweg.types import Verdict

ERROR_CUT = 0.5  # nats: standard error of log Z
PILOT = 256  # particles that find a ladder
ACCEPTED_CUT = 0.05  # share of moves
GRADIENT = 3.0  # times the cost of a likelihood
HMC_COST = 3.5 * GRADIENT  # of a move, in likelihoods: gradients of a trajectory in the mean
FEWER = "merge states, leave environments out, or take fewer draws"


@dataclass(frozen=True, eq=False)
class Posterior(Reasoned):
    """Draws of values, or a reason why they are not to be used.

    Attributes:
        likelihood: of the choices.
        points: (N, width) theta, and log inverse temperature behind it where that was free.
        weights: (N,) sum to 1.
        values: (N,) log likelihood, nats.
        rhat: largest split R-hat of the log likelihood and of the weights theta.
        ess: effective sample size, draws: of SMC that of the log likelihood, of HMC the least of it and the weights.
        verdict: health.
        reasons: a sentence for each check that failed.
        log_evidence: log Z, estimated, with its standard error over repeats; None of HMC.
    """

    likelihood: Likelihood
    points: Tensor
    weights: Tensor
    values: Tensor
    rhat: float
    ess: float
    verdict: Verdict
    reasons: tuple[str, ...]
    log_evidence: Estimate | None = None
    refusal: ClassVar[str] = "the posterior is {0.verdict}: {1}; .points holds the draws"

    @property
    def healthy(self) -> bool:
        """Whether the draws are to be used."""
        return self.verdict is Verdict.HEALTHY

    @property
    def theta(self) -> Tensor:
        """(N, D)."""
        return self.points[:, : self.likelihood.values.weights]

    @property
    def mode(self) -> Tensor:
        """(width,) the most likely draw."""
        return self.points[self.values.argmax()]

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (width,) and covariance (width, width) of the points.

        Raises:
            UnhealthyError: the draws are not to be used.
        """
        self.trusted()
        mean = self.weights @ self.points
        off = self.points - mean
        return mean, torch.einsum("n,ni,nj->ij", self.weights, off, off)

    def reward(self, mdp: MDP) -> Tensor:
        """The Bayes reward, E[R / rho(R)], whose optimum has the least expected normalised regret.

        Args:
            mdp: in which return ranges are taken, the one where an agent will act.

        Returns:
            (S, A).

        Raises:
            InputError: a draw whose return range is 0 there.
            UnhealthyError: the draws are not to be used.
        """
        self.trusted()
        return torch.einsum("n,nsa->sa", self.weights, self._normalised(mdp))

    def distances(self, mdp: MDP, reward: Any, quantiles: Sequence[float] = (0.05, 0.5, 0.95)) -> Tensor:
        """Quantiles of the range distance to another reward over the posterior.

        They are credible, that is on average over the prior; the largest draw is below the supremum over a set that
        holds it.

        Args:
            mdp: in which it is taken.
            reward: (S,), (S, A) or (S, A, S).
            quantiles: from 0 to 1.

        Returns:
            (Q,) in [0, 2].

        Raises:
            InputError: quantiles out of range, a reward that does not fit.
            UnhealthyError: the draws are not to be used.
        """
        self.trusted()
        wanted = torch.as_tensor(quantiles, dtype=torch.float64)
        if ((wanted < 0) | (wanted > 1)).any():
            raise InputError(f"quantiles {list(quantiles)}: give numbers from 0 to 1")
        found, order = torch.sort(torch.as_tensor(reward_distance(mdp, Gains(self._normalised(mdp)), reward)))
        edges = self.weights[order].cumsum(0)
        return found[torch.searchsorted(edges / edges[-1], wanted).clamp(max=len(found) - 1)]

    def _normalised(self, mdp: MDP) -> Tensor:
        """(N, S, A): R / rho(R) of every draw."""
        gain = self.likelihood.values.reward(self.theta, mdp.actions)
        span = mdp.return_range(Gains(gain))
        if not (span > 0).all():
            raise InputError("the return range of a draw is 0 in this process: every policy returns the same by it")
        return gain / span[:, None, None]


def smc(
    likelihood: Likelihood,
    *,
    particles: int = 1000,
    repeats: int = 8,
    schedule: Sequence[float] | None = None,
    move: Move = "walk",
    moves: int = 5,
    seed: int = 0,
) -> Posterior:
    """Sample the posterior by tempered SMC, with log Z.

    log Z is the logarithm of the mean Z of independent repeats, whose standard error is that of the mean over it. It
    is for description: label it estimated. Its interval is Student's t of repeats - 1 degrees: 1.96 errors hold
    in 91 %.

    Args:
        likelihood: of the choices.
        particles: N of each repeat.
        repeats: K, at least 4.
        schedule: inverse temperatures ascending to 1, without 0; None to let a pilot find them, by an effective
            share of a half. Moves are found by a pilot in both cases, of which the repeats are independent.
        move: `walk` by the covariance of particles, or `hmc`, for many weights.
        moves: of each stage.
        seed: names all random streams.

    Raises:
        InputError: a schedule that does not ascend to 1, too few particles or repeats.
    """
    if particles < 16 or repeats < 4 or moves < 1 or move not in ("walk", "hmc"):
        raise InputError(
            f"particles {particles}, repeats {repeats}, moves {moves}, move {move!r}: give at least 16, 4, 1, and"
            " 'walk' or 'hmc'"
        )
    target, width = _target(likelihood), likelihood.width
    gradients = 1.0 if move == "walk" else HMC_COST
    each = gradients * _pace(target, particles, width, seed)
    least = (len(schedule) if schedule is not None else 1) * each * moves * (repeats + 2)
    affordable(f"a posterior of {repeats} repeats of {particles:,} particles", FEWER, seconds=least)
    stages = pilot(target, width, particles, schedule, move, moves, stream(seed, "smc", "pilot"))
    announce(f"{repeats} repeats of {len(stages)} stages of tempered SMC", each * moves * len(stages) * repeats)
    clouds = [
        travel(target, width, particles, stages, move, moves, stream(seed, "smc", repeat))
        for repeat in range(repeats)
    ]
    made = {"particles": particles, "repeats": repeats, "move": move, "moves": moves, "seed": seed}
    return _gathered(likelihood, clouds, made | {"betas": [stage.beta for stage in stages]})


def _pace(target: Target, rows: int, width: int, seed: int) -> float:
    """Seconds of the log likelihood of so many draws of the prior."""
    z = torch.randn(rows, width, generator=stream(seed, "pace"), dtype=torch.float64)
    return seconds_of(lambda: target(z))


def _target(likelihood: Likelihood) -> Target:
    """Log likelihood at normal coordinates."""
    return lambda z: likelihood(likelihood.place(z))


def _gathered(likelihood: Likelihood, clouds: list[Cloud], made: dict[str, Any]) -> Posterior:
    """Repeats, each weighed by its Z, and whether they agree."""
    logs = torch.tensor([cloud.log_evidence for cloud in clouds], dtype=torch.float64)
    shares, count = torch.softmax(logs, 0), len(clouds)
    log_evidence = float(torch.logsumexp(logs, 0)) - math.log(count)
    stderr = float((count * shares).std() / math.sqrt(count))
    value = torch.stack([cloud.value for cloud in clouds])
    points = torch.stack([likelihood.place(cloud.z) for cloud in clouds])
    between = float(value.mean(1).var() / count)
    ess = min(float(value.var()) / between, float(value.numel())) if between > 0 else float(value.numel())
    rhat = _worst_rhat(value, points)
    slowest = min(cloud.accepted for cloud in clouds)
    checks = [
        (Verdict.CHAINS_DISAGREE, rhat > RHAT_CUT, f"R-hat of the repeats {rhat:.3f} (cut {RHAT_CUT})"),
        (Verdict.CHAINS_DISAGREE, stderr > ERROR_CUT, f"standard error of log Z {stderr:.2f} (cut {ERROR_CUT} nats)"),
        (Verdict.NOT_STATIONARY, ess < ESS_CUT, f"effective sample size {ess:.0f} (cut {ESS_CUT:g})"),
        (Verdict.NOT_STATIONARY, slowest < ACCEPTED_CUT, f"{slowest:.0%} of moves accepted (cut {ACCEPTED_CUT:.0%})"),
    ]
    failed = [(verdict, f"{reason}: take more particles or moves") for verdict, wrong, reason in checks if wrong]
    verdict = failed[0][0] if failed else Verdict.HEALTHY
    reasons = tuple(reason for _, reason in failed)
    evidence = Estimate(
        log_evidence, stderr, rhat, ess, verdict, reasons, made | {"label": "estimated", "certifies": False}
    )
    weights = (shares[:, None] / value.shape[1]).expand_as(value).reshape(-1)
    return Posterior(
        likelihood, points.flatten(0, 1), weights, value.reshape(-1), rhat, ess, verdict, reasons, evidence
    )


def hmc(
    likelihood: Likelihood,
    *,
    chains: int = 4,
    draws: int = 1000,
    burn_in: int = 500,
    leapfrog_steps: int = 3,
    seed: int = 0,
) -> Posterior:
    """Sample the posterior by HMC on a ladder of temperatures that trade places; a pilot of SMC finds the ladder.

    Every chain starts at its own draw from the prior, so that R-hat sees modes that are not joined.

    Args:
        likelihood: of the choices.
        chains: independent ladders.
        draws: of each chain.
        burn_in: sweeps before them, in which steps are found.
        leapfrog_steps: gradients of a trajectory in the mean.
        seed: names all random streams.

    Raises:
        InputError: numbers out of range.
    """
    if chains < 2 or draws < 8:
        raise InputError(f"chains {chains}, draws {draws}: give at least 2 and 8, agreement is looked at")
    target = _target(likelihood)
    each = GRADIENT * leapfrog_steps * (draws + burn_in) * _pace(target, chains, likelihood.width, seed)
    affordable(f"a posterior of {chains} chains of {draws:,} draws", FEWER, seconds=each)
    stages = pilot(target, likelihood.width, PILOT, None, "walk", 5, stream(seed, "hmc", "pilot"))
    announce(f"{chains} chains of {draws:,} draws by HMC at {len(stages) + 1} temperatures", each * (len(stages) + 1))
    own = stream(seed, "hmc", "starts")
    starts = torch.randn(chains, likelihood.width, generator=own, dtype=torch.float64)
    rungs = [0.0, *(stage.beta for stage in stages)]
    kept = temper(
        lambda z: -target(z), starts, rungs, sweeps=draws, burn_in=burn_in, leapfrog_steps=leapfrog_steps, seed=seed
    )  # nats of all choices together, so that n beta is beta
    value, points = -kept.loss[..., -1].T, likelihood.place(kept.weights[:, :, -1].transpose(0, 1))
    health = diagnose((value.max() - value).numpy(), np.empty((chains, 0)))
    rhat, reasons, verdict = _worst_rhat(value, points), health.reasons, health.verdict
    if rhat > RHAT_CUT and not health.rhat > RHAT_CUT:
        reasons = (*reasons, f"split R-hat of a weight {rhat:.3f} (cut {RHAT_CUT}): take more draws")
        verdict = Verdict.CHAINS_DISAGREE if verdict is Verdict.HEALTHY else verdict
    ess = min(precision(trace.numpy())[0] for trace in (value, *points.unbind(-1)))
    if ess < ESS_CUT <= health.ess:
        reasons = (*reasons, f"effective sample size of a weight {ess:.0f} (cut {ESS_CUT:g}): take more draws")
        verdict = Verdict.NOT_STATIONARY if verdict is Verdict.HEALTHY else verdict
    count = value.numel()
    weights = torch.full((count,), 1 / count, dtype=torch.float64)
    return Posterior(likelihood, points.flatten(0, 1), weights, value.reshape(-1), rhat, ess, verdict, reasons)


def _worst_rhat(value: Tensor, points: Tensor) -> float:
    """Largest split R-hat of (C, N) and of each column of (C, N, width)."""
    return max(split_rhat(trace.numpy()) for trace in (value, *points.unbind(-1)))
