"""Worst regrets of many Alices at once, by the one-dimensional dual in small dense processes.            N Alices

    min over x >= 0 of  h(x) = V_A + max_pi J(-R_A + x R_B) - x (V_B - suboptimality)

Every x gives an upper bound, so it does not matter where the search stops. `worst_regret` takes any size.
"""

from typing import Any

import torch
from torch import Tensor

from thalweg.mdp._value_bounds import returned
from thalweg.mdp.probabilities import EPS
from thalweg.mdp.process import MDP, Gains

ROUNDS = 40  # multipliers for each Alice at most
LARGEST = 2.0**20  # multiplier, in Alice's range over Bob's
TOLERANCE = 1e-7  # of Alice's range


def worst_regrets(mdp: MDP, alice: Tensor, bob: Any, suboptimality: float) -> Tensor:
    """(N,) upper bounds in units of Alice's reward, within about 1e-7 of her range of the truth.

    Args:
        mdp: where Bob acts.
        alice: (N, S, A) her rewards, without a large constant.
        bob: (S, A) his.
        suboptimality: V_B - J_B at most, in units of his reward.
    """
    his = mdp.mean_reward(bob)
    his = his - mdp.level(his)
    size = mdp.return_range(his)
    own = his / size if size > 0 else torch.zeros_like(his)
    allowed = suboptimality / float(size) * (1 + 4 * EPS) if size > 0 else 0.0
    span = mdp.return_range(Gains(alice))
    scaled = alice / torch.where(span > 0, span, 1.0)[:, None, None]
    optimum, lowest = returned(mdp, scaled)[1], returned(mdp, own)[0]
    floor = float(lowest) - allowed

    def height(x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        gain = -scaled[which] + x[:, None, None] * own
        mixing = 4 * EPS * (scaled[which].abs() + x[:, None, None] * own.abs())
        _, high, plan = returned(mdp, gain, mixing)
        slope = mdp.returns(plan.policy, own) - floor
        found = optimum[which] + high - x * floor
        return found + 8 * EPS * (optimum[which].abs() + high.abs() + (x * floor).abs()), slope

    every = torch.arange(len(alice))
    left, right = torch.zeros(len(alice), dtype=torch.float64), torch.ones(len(alice), dtype=torch.float64)
    below, slope = height(left, every)
    above, rise = height(right, every)
    best = torch.minimum(below, above)
    going = slope < 0  # else x = 0 is best: Bob may do anything
    for _ in range(ROUNDS):
        rows = every[going]
        if not len(rows):
            break
        low, high = left[rows], right[rows]
        up = rise[rows]
        meet = low + (below[rows] - above[rows] + up * (high - low)) / (up - slope[rows]).clamp(min=1e-300)
        x = torch.where(up < 0, (4 * high).clamp(max=LARGEST), torch.minimum(torch.maximum(meet, low), high))
        floor_here = torch.where(up < 0, -torch.inf, below[rows] + slope[rows] * (x - low))
        found, tilt = height(x, rows)
        best[rows] = torch.minimum(best[rows], found)
        rising = up >= 0
        to_left = (tilt < 0) & rising
        grown = (up < 0) & (x > high)
        move_left = to_left | grown
        left[rows] = torch.where(grown, high, torch.where(to_left, x, low))
        below[rows] = torch.where(grown, above[rows], torch.where(to_left, found, below[rows]))
        slope[rows] = torch.where(grown, up, torch.where(to_left, tilt, slope[rows]))
        move_right = ~to_left
        right[rows] = torch.where(move_right, x, high)
        above[rows] = torch.where(move_right, found, above[rows])
        rise[rows] = torch.where(move_right, tilt, rise[rows])
        done = (best[rows] - floor_here <= TOLERANCE) | ((up < 0) & (high >= LARGEST)) & ~move_left
        going[rows] = ~done
    return best * span
