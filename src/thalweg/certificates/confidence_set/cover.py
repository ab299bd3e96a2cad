"""A confidence set over a continuous class of values, covered by cells, and the largest regret on it: no sampling.

    C = {theta: l(theta) >= log Z - ln(1/delta)},    Z = E_prior exp l,    R = features . theta

Alice is a Boltzmann chooser. Q* is convex in theta, the largest of linear functions, one for each policy, and so is
log sum exp of it: her log likelihood is a difference of convex functions of x = theta * scale, in environment e

    l = sum_e F_e(x_e) - G_e(x_e),    F_e = b sum counts Q*,    G_e = sum_s n_s log sum_a exp(b Q*(s, a)).

On a cell, a simplex of vertices v_i, a convex function lies below its largest vertex and above the mean of its
tangents there. Hence proven bounds on l from vertices alone, whose gap falls with the square of a cell's size:

    max l <= max_i sum_e max_t [F_e - (tangents of G_e)](t v_i)
    log mean exp l >= mean l >= mean_i sum_e min_t [(tangents of F_e) - G_e](t v_i),

t one over the return range in e, which differs over the cell: from one over its largest vertex to one over the least
of its tangents; 1 where the choice model has a scale of its own. Cells whose upper bound is below log Z -
ln(1/delta) hold no theta of C.

Directions are points of the octahedron |theta|_1 = 1, weights with a bound a box; the prior is uniform on either,
and cells halve it exactly. Source: facts of convex analysis; C after Wasserman, Ramdas & Balakrishnan 2020
(arXiv 1912.11436): Z / exp l(theta_A) is a martingale of mean 1 whatever rule picks states and environments.
"""

from dataclasses import dataclass, replace
from functools import reduce
from math import log

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates.confidence_set._cost import CROWD, POINTS, check_class, check_time
from thalweg.certificates.confidence_set._finite import check_delta
from thalweg.certificates.confidence_set._simplices import Cells, Points, Rows, first_cells, slices, split
from thalweg.certificates.confidence_set._tangents import (
    Tangents,
    check_ranges,
    features,
    plan_size,
    planned,
    tangent,
)
from thalweg.errors import InputError
from thalweg.irl import Behaviour, Boltzmann, Linear
from thalweg.mdp import MDP

NATS = 1.0  # by which the likelihood may be uncertain on a cell that is kept
SLACK = 1e-9  # nats for each observed choice: rounding of a likelihood
NARROW = 1e-9  # of the largest range of a cell: a range below that is rounding


@dataclass(frozen=True, eq=False)
class _Read(Rows):
    """What one environment says at points.

    Attributes:
        gain: F at the points themselves; it scales with them.
        cost: G at points over their range, as functions of what is scaled.
        range: the return range.
        bend: (N,) above the curvature of G along the ray through the point.
        loose: (N,) what the planner may have missed of F or G.
    """

    gain: Tangents
    cost: Tangents
    range: Tangents
    bend: np.ndarray
    loose: np.ndarray


class _Reader:
    """Plans at points of the class, in every environment and in the deployment."""

    def __init__(self, behaviour: Behaviour, values: Linear, choice_model: Boltzmann) -> None:
        if not choice_model.relative and values.bound is None:
            raise InputError(
                "a choice model in units of reward sees its scale: give the class a bound of its weights"
            )
        if choice_model.relative and values.bound is not None:
            raise InputError(
                f"bound {values.bound}: a choice model relative to the range sees no scale, leave it out"
            )
        self.values, self.choice_model, self.worlds = values, choice_model, []
        for number, world in enumerate(behaviour.environments):
            counts = behaviour.counts(number)
            if counts.any():
                self.worlds.append((world, counts))
                if choice_model.relative:
                    check_ranges(values, world, number)

    def __call__(self, points: np.ndarray) -> list[_Read]:
        """Read all environments at (N, D)."""
        return [self._whole(world, counts, points) for world, counts in self.worlds]

    def _whole(self, world: MDP, counts: Tensor, points: np.ndarray) -> _Read:
        """One environment at (N, D), in parts."""
        parts = slices(len(points), plan_size(world, self.values))
        each = [self._read(world, counts, torch.as_tensor(points[part])) for part in parts]
        return reduce(_Read.also, each) if each else self._read(world, counts, torch.as_tensor(points))

    def _read(self, world: MDP, counts: Tensor, points: Tensor) -> _Read:
        gains = features(self.values, world)
        best, span, missed = planned(gains, world, points)
        ahead = world.backup(gains, best)  # (N, D, S, A): of an action now, the best policy then
        inverse_temperature = self.choice_model.inverse_temperature
        quality = inverse_temperature * torch.einsum("ndsa,nd->nsa", ahead, points)
        scaled = quality / torch.as_tensor(span.value)[:, None, None] if self.choice_model.relative else quality
        chosen, seen = torch.softmax(scaled, -1), counts.sum(-1)
        slopes = [inverse_temperature * torch.einsum("ndsa,nsa->nd", ahead, weight.expand_as(quality)).numpy()
                  for weight in (counts, seen[:, None] * chosen)]  # fmt: skip
        spread = quality.amax(-1) - quality.amin(-1)
        steep = torch.full_like(missed, inverse_temperature)
        if self.choice_model.relative:  # the range is missed by as much
            steep = steep + spread.amax(-1) / torch.as_tensor(np.maximum(span.value, 1e-300))
        missed = 4 * missed * steep * seen.sum()
        return _Read(
            Tangents(torch.einsum("nsa,sa->n", quality, counts).numpy(), slopes[0]),
            Tangents((torch.logsumexp(scaled, -1) @ seen).numpy(), slopes[1]),
            span,
            (spread.square() @ seen / 4).numpy(),
            missed.numpy(),
        )


@dataclass(frozen=True, eq=False)
class _Bounds(Rows):
    """Proven bounds of the log likelihood on cells, nats.

    Attributes:
        most: (M,) above its maximum.
        mean: (M,) below the logarithm of the mean likelihood.
    """

    most: np.ndarray
    mean: np.ndarray


def _cell_bounds(points: np.ndarray, cells: Cells, reads: list[_Read], relative: bool) -> _Bounds:
    """Bounds on cells of vertices (N, D), by the formulas above, of what each environment says at all of these."""
    parts = slices(len(cells.corners), 4 * cells.corners.shape[1] * points.shape[1])
    found = (_bounds(points, cells.corners[part], reads, relative) for part in parts)
    return reduce(_Bounds.also, found, _Bounds(np.empty(0), np.empty(0)))


def _bounds(points: np.ndarray, corners: np.ndarray, reads: list[_Read], relative: bool) -> _Bounds:
    """The same of corners (M, V).

    G at t v differs from its value at one over the range v has by a Taylor step; its curvature along the ray is a sum
    of variances, each at most a quarter of the squared span of b Q.
    """
    at = points[corners]
    most, mean = np.zeros(at.shape[:2]), np.zeros(at.shape[:2])
    sound = np.ones(len(at), dtype=bool)
    for read in reads:
        scales = np.ones((len(at), 1))
        own = np.ones(len(points))
        if relative:
            low, ranges = tangent(read.range, points, corners, at).min(1), read.range.value[corners]
            known = low > NARROW * ranges.max(1)
            sound &= known
            scales = 1 / np.stack([np.where(known, ranges.max(1), 1.0), np.where(known, low, 1.0)], 1)
            own = 1 / np.where(read.range.value > 0, read.range.value, 1.0)
        x = scales[:, :, None, None] * at[:, None]
        flat = x.reshape(len(at), -1, at.shape[2])
        shape = x.shape[:3]
        gain = scales[:, :, None] * read.gain.value[corners][:, None]
        cost = tangent(read.cost, own[:, None] * points, corners, flat).reshape(shape)
        loose = scales.max(1)[:, None] * read.loose[corners].max(1)[:, None]
        most += (gain - cost).max(1) + loose
        far = scales[:, :, None] - own[corners][:, None]
        along = np.einsum("nd,nd->n", read.cost.slope, points)[corners][:, None]
        cost = read.cost.value[corners][:, None] + far * along + far**2 / 2 * read.bend[corners][:, None]
        gain = tangent(read.gain, points, corners, flat).reshape(shape)
        mean += (gain - cost).min(1) - loose
    return _Bounds(np.where(sound, np.minimum(most.max(1), 0.0), 0.0), np.where(sound, mean.mean(1), -np.inf))


@dataclass(frozen=True, eq=False)
class Cover:
    """Cells that hold every theta of C.

    Attributes:
        reader: of the data, for more points.
        delta: C misses Alice with at most this probability.
        points: vertices, with what the environments say there.
        reads: of each environment.
        cells: that may hold a theta of C.
        bounds: on them.
        settled: log of the proven evidence of cells that were dropped.
        slack: nats by which the likelihood of Alice's true values may be wrong, given to the set.
        predicted: another log Z, as of `predicted_evidence`; None where it is the prior's.
        complete: whether the likelihood is known within `NATS` on every cell.
    """

    reader: "_Reader"
    delta: float
    points: Points
    reads: list[_Read]
    cells: Cells
    bounds: _Bounds
    settled: float
    slack: float = 0.0
    predicted: float | None = None
    complete: bool = False

    @property
    def log_evidence(self) -> float:
        """A proven lower bound of log Z, nats."""
        if self.predicted is not None:
            return self.predicted
        return float(np.logaddexp(self.settled, np.logaddexp.reduce(self.cells.share + self.bounds.mean)))

    @property
    def threshold(self) -> float:
        """Log likelihood below which a theta is not in C, nats; rounding is given to the set."""
        choices = sum(counts.sum().item() for _, counts in self.reader.worlds)
        return self.log_evidence + log(self.delta) - self.slack - SLACK * (1 + choices)

    def likelihood(self) -> np.ndarray:
        """(N,) log likelihood at the vertices, nats; -inf where a relative choice model has no range."""
        relative = self.reader.choice_model.relative
        total = np.zeros(len(self.points.values))
        for read in self.reads:
            wide = read.range.value > 0 if relative else np.ones(len(total), dtype=bool)
            scale = np.where(wide, read.range.value, 1.0) if relative else 1.0
            total += np.where(wide, read.gain.value / scale - read.cost.value, -np.inf)
        return total

    def halved(self, which: np.ndarray) -> "Cover":
        """The same with some cells (M,) bool halved, and dropped what cannot hold a theta of C."""
        points, new = split(self.points, self.cells.only(which))
        fresh = points.values[len(self.points.values) :]
        reads = self.reads
        if len(fresh):  # neighbours may have made all of them
            reads = [a.also(b) for a, b in zip(reads, self.reader(fresh), strict=True)]
        found = _cell_bounds(points.values, new, reads, self.reader.choice_model.relative)
        cells, known = self.cells.only(~which).also(new), self.bounds.only(~which).also(found)
        whole = replace(self, points=points, reads=reads, cells=cells, bounds=known)
        keep = known.most >= whole.threshold
        dropped = np.logaddexp.reduce((cells.share + known.mean)[~keep])
        settled = float(np.logaddexp(self.settled, dropped))
        return replace(whole, cells=cells.only(keep), bounds=known.only(keep), settled=settled)


def covered(
    behaviour: Behaviour,
    values: Linear,
    choice_model: Boltzmann,
    delta: float,
    *,
    slack: float = 0.0,
    evidence: float | None = None,
    budget: int = POINTS,
) -> Cover:
    """Cover C until the likelihood is known within a nat on every cell, or the budget of vertices is spent.

    The cover holds C whenever it stops; a smaller budget makes it larger.

    Args:
        behaviour: Alice's choices.
        values: class of her values.
        choice_model: by which she chooses.
        delta: chance that C misses her.
        slack: nats by which the log likelihood of her values may lie too low in the stated processes, as where these
            merge states that she tells apart; the set is widened by it. Z stays a martingale: it is the mean of
            predictors, true or not.
        evidence: log Z by another predictor that saw only the past, chosen before the data are seen; default the
            uniform prior's.
        budget: vertices.

    Raises:
        InputError: a delta outside (0, 1), a slack below 0, likelihoods too large for float64; a class of so many
            features, or a process so large, that it would not end.
    """
    check_delta(delta)
    check_class(values)
    if not 0 <= slack < np.inf:
        raise InputError(f"slack {slack}: give a number of at least 0, nats")
    reader = _Reader(behaviour, values, choice_model)
    check_time(reader, values, budget)
    points, cells = first_cells(values.weights, values.bound)
    reads = reader(points.values)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
        known = _cell_bounds(points.values, cells, reads, choice_model.relative)
    if np.isnan(known.most + known.mean).any():
        raise InputError("log likelihoods overflow: scale the features down, or lower the inverse temperature")
    found = Cover(reader, delta, points, reads, cells, known, -np.inf, slack, evidence)
    while True:
        vague = ~(found.bounds.most - found.bounds.mean <= NATS)
        if not vague.any():
            return replace(found, complete=True)
        if len(found.points.values) >= budget or len(found.cells.corners) >= CROWD * budget:
            return found
        found = found.halved(vague)
