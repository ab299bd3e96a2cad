"""What a process and a reward are worth, proven: V*, the worst value, the return range, returns and regrets.

One reading of each pair, kept as long as the process: values and certificates all stand on it. Small processes are
solved directly (`bracket`), large ones planned for (`planning`); either way a number has two sides, and a certificate
takes the safe one. All is in units of `Earned`, of which shares of the range know nothing.
"""

import hashlib
import math
import struct
from collections import OrderedDict
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from thalweg.errors import InputError
from thalweg.mdp._scaled_reward import Earned, earned
from thalweg.mdp.planning import Planned, followed, planned, scale
from thalweg.mdp.probabilities import EPS
from thalweg.mdp.process import MDP

KEPT = 16  # rewards of one process
FINE, COARSE, MANY = 1e-10, 1e-7, 50_000  # of the return range, to which it is known; in processes of so many states
SOME = 1e-4  # the first try
FLAT = 1.0  # widths of a range that is told from 0
LEAST = 1e-300  # width of anything
FINEST = 1e-13  # of the largest range that returns could have: no sweeps know more
BLURRED = 1e-6  # share of a range from which direct solves are worth their time


class Interval(NamedTuple):
    """A number between two bounds."""

    low: float
    high: float

    def plus(self, other: "Interval") -> "Interval":
        """Of sums; outward by a rounding each."""
        return Interval(_down(self.low + other.low), _up(self.high + other.high))

    def minus(self, other: "Interval") -> "Interval":
        """Of differences."""
        return Interval(_down(self.low - other.high), _up(self.high - other.low))

    def times(self, factor: float) -> "Interval":
        """By a number of at least 0."""
        return Interval(_down(self.low * factor), _up(self.high * factor))

    def over(self, other: "Interval") -> "Interval":
        """Of quotients, of numbers of at least 0 by one above 0."""
        return Interval(max(_down(self.low / other.high), 0.0), _up(max(self.high, 0.0) / other.low))

    @property
    def width(self) -> float:
        """High less low."""
        return self.high - self.low

    @property
    def middle(self) -> float:
        """Between the two."""
        return self.low / 2 + self.high / 2


class Valuation:
    """Bounds of all that a reward says of a process; planned when it is asked for, and finer when that is asked."""

    def __init__(self, reward: Earned) -> None:
        self.reward = reward
        self._known: dict[float, tuple[float, Planned]] = {}

    def plan(self, sign: float, width: float) -> Planned:
        """The best policy of the reward, or of minus it, its values known to a width, in units.

        Args:
            sign: 1 or -1.
            width: above 0; what planning cannot resolve stays wider.
        """
        asked, found = self._known.get(sign, (np.inf, None))
        if found is None or (width < asked and not found.direct):
            warm = None if found is None else found.value
            found = planned(self.reward.mdp, sign * self.reward.gain.numpy(), self.reward.error.numpy(), width, warm)
            self._known[sign] = (width, found)
        return found

    def returns_of(self, found: Planned) -> Interval:
        """Bounds of the return from the start of what was planned for this process."""
        return Interval(*found.returns(self.reward.mdp.start.numpy(), self.reward.mdp.rounding))

    @property
    def largest(self) -> float:
        """The largest range that returns could have, in units."""
        return max(scale(self.reward.gain.numpy(), self.reward.mdp.discount), LEAST)

    def ranged(self, fine: float, enough: float = 0.0) -> Interval:
        """Rho = max J - min J, in units, to a share of itself, or as near as planning comes.

        Args:
            fine: of the range. Its low side may be below 0, where it is not told from 0.
            enough: or to this, in units.
        """
        share, before = max(SOME, fine), np.inf
        while True:
            best, worst = (self.plan(sign, share * self.largest) for sign in (1.0, -1.0))
            span = self.returns_of(best).plus(self.returns_of(worst))
            known = span.width <= max(fine * max(span.low, 0.0), enough)
            if known or best.direct or share == 0:
                return span
            if share <= FINEST or span.width > before / 2:
                if span.width <= BLURRED * span.low:
                    return span
                share = 0.0  # a range far below the rewards: what pays is rare
                continue
            before, wanted = span.width, max(fine * max(span.low, 0.0), enough) / span.width
            share = max(FINEST, min(share, span.width / self.largest) * min(1e-2, wanted or 1e-2))

    @property
    def fine(self) -> float:
        """The share of the return range to which it is known where nothing else is asked for."""
        return FINE if self.reward.mdp.states < MANY else COARSE

    @cached_property
    def range(self) -> Interval:
        """The same to a share `fine`."""
        return self.ranged(self.fine)

    @property
    def best(self) -> Planned:
        """V* on the states that policies visit, in units and without the level, as finely as the range is known."""
        return self.plan(1.0, self.width)

    @property
    def worst(self) -> Planned:
        """V* of minus the reward."""
        return self.plan(-1.0, self.width)

    @property
    def width(self) -> float:
        """The width to which values are asked for, in units: where the range was solved for directly, so are they."""
        wanted = self.fine * max(self.range.low, 0.0)
        return wanted if self.plan(1.0, np.inf).direct else max(wanted, FINEST * self.largest)

    @property
    def optimum(self) -> Interval:
        """Max J, in units and without the level."""
        return self.returns_of(self.best)

    def known_range(self, whose: str, *, fine: float | None = None, widths: float = FLAT) -> Interval:
        """The return range, in units, where a share of it can be taken.

        Args:
            whose: for the message.
            fine: the share of itself to which it is known; default `fine` of this.
            widths: of it, above which it is told from 0.

        Raises:
            InputError: it cannot be told from 0.
        """
        found = self.range if fine is None else self.ranged(fine)
        if not found.low > widths * found.width:
            at_most = f" (at most {found.high * self.reward.unit:.2g})" if found.high > 0 else ""
            raise InputError(
                f"the return range of {whose} is 0 up to rounding{at_most}, every policy returns the same by it or"
                " its digits do not tell: give another, or the same in float64 and without its constant"
            )
        return found

    def own(self, policy: Any) -> Planned:
        """The value of a policy (S, A) of the whole process, in units and without the level.

        Raises:
            InputError: a batch, no probabilities.
        """
        chances, off = self.reward.policy(policy)
        if chances.ndim != 2:
            raise InputError(f"policy has shape {tuple(chances.shape)}: give one policy (S, A), no batch")
        return self.followed(chances.numpy(), self.width, off)

    def followed(self, policy: np.ndarray, width: float, off: float = 0.0, warm: np.ndarray | None = None) -> Planned:
        """The same of a policy of the states that are visited, as finely as is asked.

        Args:
            policy: (S',) int64 actions, or (S', A) probabilities.
            width: in units.
            off: by how much a chance may be off, relative.
            warm: (S',) values to begin from.
        """
        gain, error = self.reward.gain.numpy(), self.reward.error.numpy()
        return followed(self.reward.mdp, policy, gain, error, width, warm, off)

    def span(self, policy: Any = None) -> float:
        """Above the mean of the spans of V* and a policy's value (S, A), in units.

        Without a policy it is max V* - min V_worst, of any at all, in finer states too.
        """
        if policy is None:
            return float(self.best.bounds[1].max() + self.worst.bounds[1].max())
        return (self.best.span + self.own(policy).span) / 2

    def returns(self, policy: Any) -> Interval:
        """J of a policy (S, A), in units and without the level."""
        return self.returns_of(self.own(policy))

    def regret(self, policy: Any, weights: Any = None) -> Interval:
        """V* - J of a policy (S, A), or of one of (K, S, A) that is drawn by its weight; in units, not below 0."""
        given = policy[None] if weights is None else policy
        earned = Interval(0.0, 0.0)
        for one, weight in zip(given, [1.0] if weights is None else weights, strict=True):
            earned = earned.plus(self.returns(one).times(float(weight)))
        low, high = self.optimum.minus(earned)
        return Interval(max(low, 0.0), max(high, 0.0))

    def starts(self, policies: Any, weights: Any) -> Interval:
        """The largest regret from a single first state, of policies (K, S, A), in units."""
        first = self.reward.mdp.start.numpy() > 0
        low, high = (x[first] for x in self.best.bounds)
        for one, weight in zip(policies, weights, strict=True):
            below, above = (x[first] for x in self.own(one).bounds)
            low, high = low - float(weight) * above, high - float(weight) * below
        slack = 4 * (len(policies) + 2) * EPS * np.maximum(np.abs(self.best.value[first]), np.abs(high)).max()
        return Interval(max(float(low.max() - slack), 0.0), max(float(high.max() + slack), 0.0))


def valuation(mdp: MDP, reward: Any, *, whole: bool = False) -> Valuation:
    """What a reward says of a process; read once for each pair and kept.

    Args:
        mdp: the process.
        reward: (S,), (S, A), (S, A, S), or `Earned`.
        whole: on the states that no policy visits too, see `earned`.

    Raises:
        InputError: as `earned`.
    """
    read = earned(mdp, reward, whole=whole)
    kept = mdp.kept.setdefault("valuations", OrderedDict())
    key = _key(read)
    if key not in kept:
        kept[key] = Valuation(read)
        if len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def _key(read: Earned) -> bytes:
    """Of the content: two rewards of which one is a multiple of the other differ in the unit alone."""
    found = hashlib.blake2b(struct.pack("dd", read.unit, read.level), digest_size=16)
    for part in (read.gain, read.error, read.part.states):
        found.update(part.contiguous().numpy().tobytes())
    return found.digest()


def _down(x: float) -> float:
    """The next number below: not above what was rounded."""
    return math.nextafter(x, -math.inf)


def _up(x: float) -> float:
    """The next number above."""
    return math.nextafter(x, math.inf)
