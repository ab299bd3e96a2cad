"""Distance of values and learning error, proven: the two sides of d and of what is composed of it.

    d = rho(R_A / rho_A - R_B / rho_B),        Reg_A / rho_A <= d + suboptimality / rho_B

`composed_bound` has the proof; here each number takes the safe side.
"""

import math

from thalweg.mdp import EPS, Earned, Interval, Valuation

ENOUGH = 0.1  # of the share to which ranges are known, to which a distance is planned for


def apart(her: Valuation, his: Valuation) -> Interval:
    """d, in [0, 2], of two rewards of one process.

    A range that is known to w of itself moves R / rho by w of a unit.
    """
    hers, own = her.known_range("Alice's reward"), his.known_range("Bob's reward")
    one, other = her.reward, his.reward
    a, b = one.gain / hers.low, other.gain / own.low
    gain = a - b
    level = one.mdp.level(gain)
    error = one.error / hers.low + other.error / own.low + 4 * EPS * (a.abs() + b.abs() + level.abs())
    found = Valuation(Earned(one.whole, one.part, gain - level, error, float(level), 1.0))
    low, high = found.ranged(0.0, ENOUGH * her.fine)
    off = Interval(hers.width, hers.width).over(hers).high + Interval(own.width, own.width).over(own).high
    return Interval(max(low - off, 0.0), min(math.nextafter(high + off, math.inf), 2.0))


def composed(her: Valuation, his: Valuation, suboptimality: Interval | float) -> Interval:
    """D + suboptimality / rho_B, the suboptimality in units of his reward as it was given."""
    given = suboptimality if isinstance(suboptimality, Interval) else Interval(suboptimality, suboptimality)
    unit = his.reward.unit
    return apart(her, his).plus(Interval(given.low / unit, given.high / unit).over(his.known_range("Bob's reward")))
