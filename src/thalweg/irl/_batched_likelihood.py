"""Log likelihoods and gradients at many points, each policy solved once.        R points, D weights, P policies

A policy's Q is linear in theta: Q(theta) = sum_d theta_d Q_d, with Q_d its values of feature d alone. So policy
iteration at a point solves only for policies that were not met before, and near one point it meets few. Then, of a
Boltzmann chooser,

    l = sum_{s, a} c x - sum_s n_s log sum_a exp x,    x = k Q(theta),    k = b e^u / rho(theta), or b e^u

and where l has a derivative the best and the worst policy stay the same, so that Q and rho are linear:

    dl/dx = c - n p =: g,    dl/dtheta_d = k <g, Q_d> - <g, x> rho_d / rho,    dl/du = <g, x>.

Source: Howard 1960 for policy iteration; Danskin's theorem for the derivative, by hand what autograd has.
"""

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.irl.choice_models import Boltzmann
from thalweg.irl.likelihood import Likelihood
from thalweg.irl.reward_class import Linear
from thalweg.mdp import MDP, ROUNDS

TIE = 1e-12  # of the largest value: an action that is better by less is no improvement; no certificate stands on it
HELD = 1 << 24  # numbers that a table holds before it begins anew, 128 MiB


class _Table:
    """The policies of one environment that were met, with what each makes of every feature.

    A row does not depend on what else is held, nor a search on what was asked before: the same point, the same bits.
    """

    def __init__(self, mdp: MDP, values: Linear, at: np.ndarray) -> None:
        """Searches begin at the best policy of a point (D,)."""
        gains = values.gains(mdp.actions)
        self.mdp, self.gains = mdp, gains - mdp.level(gains)[:, None, None]  # a constant changes no choice
        self._begin(np.tensordot(at, self.gains.numpy(), 1).argmax(-1))
        self._begin(self.chosen[self.best(at[None])[0][0]].copy())

    def _begin(self, chosen: np.ndarray) -> None:
        """Hold one policy alone."""
        width, size = len(self.gains), self.mdp.states * self.mdp.actions
        self.number: dict[bytes, int] = {}
        self.quality = np.empty((0, width, size))  # (P, D, S A) Q_d
        self.first = np.empty((0, width))  # (P, D) <start, V_d>
        self.chosen = np.empty((0, self.mdp.states), dtype=np.int64)
        self._row(chosen)

    def best(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Best policies at points (R, D), by policy iteration: rows of the table (R,), and their Q (R, S, A)."""
        if len(self.number) * self.quality[0].size > HELD:
            self._begin(self.chosen[0].copy())
        rows, left = np.zeros(len(points), dtype=np.int64), np.arange(len(points))
        found = np.empty((len(points), self.mdp.states, self.mdp.actions))
        for _ in range(ROUNDS):
            chosen = self.chosen[rows[left]]
            here = np.matmul(points[left, None], self.quality[rows[left]]).reshape(-1, *found.shape[1:])
            found[left] = here
            held = np.take_along_axis(here, chosen[..., None], 2)[..., 0]
            better = here.max(2) > held + TIE * np.abs(here).max((1, 2))[:, None]
            moving = better.any(1)
            if not moving.any():
                return rows, found
            left, chosen = left[moving], np.where(better, here.argmax(2), chosen)[moving]
            rows[left] = [self._row(one) for one in chosen]
        raise InputError(f"policy iteration did not end in {ROUNDS} rounds: features of very different sizes")

    def _row(self, chosen: np.ndarray) -> int:
        """The row of a policy (S,), solved for where it is new."""
        key, row = chosen.tobytes(), len(self.number)
        if key in self.number:
            return self.number[key]
        if row == len(self.quality):
            self.quality, self.first, self.chosen = map(_longer, (self.quality, self.first, self.chosen))
        policy = torch.nn.functional.one_hot(torch.as_tensor(chosen), self.mdp.actions).double()
        value = self.mdp.solve(policy, self.gains)
        self.quality[row] = self.mdp.backup(self.gains, value).flatten(1).numpy()
        self.first[row], self.chosen[row] = (value @ self.mdp.start).numpy(), chosen
        self.number[key] = row
        return row


class Scored:
    """Log likelihood and gradient of a Boltzmann chooser of linear values, at many points at once."""

    def __init__(self, likelihood: Likelihood, at: Tensor) -> None:
        """Keep what does not depend on points; searches begin at one (width,)."""
        assert isinstance(likelihood.choice_model, Boltzmann)
        self.likelihood, self.choice_model, self.parts = likelihood, likelihood.choice_model, []
        own = at[: likelihood.values.weights].numpy()
        for e in likelihood.seen():
            world = likelihood.environments[e]
            best, worst = (_Table(world, likelihood.values, sign * own) for sign in (1.0, -1.0))
            self.parts.append((likelihood.counts[e].numpy(), best, worst))

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nats (R,) and their gradient (R, width), of points (R, width)."""
        width = self.likelihood.values.weights
        theta, inverse_temperature = points[:, :width], np.full(len(points), self.choice_model.inverse_temperature)
        if self.likelihood.spread:
            inverse_temperature = inverse_temperature * np.exp(points[:, width])
        total, slope = np.zeros(len(points)), np.zeros_like(points)
        for counts, best, worst in self.parts:
            rows, quality = best.best(theta)
            span, spans = np.ones(len(points)), np.zeros_like(theta)
            if self.choice_model.relative:
                span, spans = _ranges(best, worst, theta, rows, quality)
            scale = inverse_temperature / span
            x = scale[:, None, None] * quality
            x = x - x.max(2, keepdims=True)
            chance = np.exp(x)
            sums = chance.sum(2, keepdims=True)
            total += (counts * (x - np.log(sums))).sum((1, 2))
            pull = counts - counts.sum(1, keepdims=True) * (chance / sums)
            along = (pull * quality).sum((1, 2)) * scale
            pulled = np.matmul(best.quality[rows], pull.reshape(len(points), -1, 1))[..., 0]
            slope[:, :width] += scale[:, None] * pulled - (along / span)[:, None] * spans
            if self.likelihood.spread:
                slope[:, width] += along
        return total, slope


def _longer(held: np.ndarray) -> np.ndarray:
    """With room for as many rows again."""
    return np.concatenate([held, np.empty((max(16, len(held)), *held.shape[1:]), held.dtype)])


def _ranges(
    best: _Table, worst: _Table, theta: np.ndarray, rows: np.ndarray, quality: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ranges (R,) and their slopes (R, D), refused where one is 0 up to what was taken for a tie."""
    low, other = worst.best(-theta)
    spans = best.first[rows] - worst.first[low]
    span = (spans * theta).sum(1)
    size = np.maximum(np.abs(quality.max(2)).max(1), np.abs(other.max(2)).max(1))
    if not (span > 2 * TIE * size / (1 - best.mdp.discount)).all():
        raise InputError("the return range of a reward is 0: every policy returns the same, no action is chosen")
    return span, spans
