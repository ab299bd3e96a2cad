"""The largest regret of a Bob of whom only his reward and his suboptimality are known.

    sup {V_A - J_A(pi) : J_B(pi) >= V_B - suboptimality} / rho(R_A),    rho(R) = max J_R - min J_R

It lies between the exact regret of a known policy, `MDP.regret(..., normalised=True)`, and `composed_bound`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp.probabilities import EPS, chances_of, one_number
from thalweg.mdp.process import MDP
from thalweg.mdp.valuation import valuation
from thalweg.mdp.worst_regret._dual import Dual
from thalweg.mdp.worst_regret._programme import inversion, programmed

TOLERANCE = 1e-6  # of Alice's range, between the two bounds
EVALUATIONS = 60  # multipliers


@dataclass(frozen=True, eq=False)
class WorstRegret:
    """The largest regret, by Alice's reward, of any Bob within a suboptimality of his optimum.

    Attributes:
        value: no such Bob has more, a share of Alice's return range; holds whatever stopped the search.
        lower: what `mixture` has at least, the same share.
        multiplier: price of Bob's return in units of Alice's, that gives `value`.
        mixture: chances and policies (S, A), one of which is drawn at the start: the Bob of `lower`. Empty where none
            could be certified, then `lower` is 0.
        slack: by how much that Bob's suboptimality may exceed the given one: 0, but where the given one is so near 0
            that float64 does not resolve it (at 0 the largest regret jumps with the last digit of the reward).
        method: "dual" or "programme".
        evaluations: multipliers that were planned for.
    """

    value: float
    lower: float
    multiplier: float
    mixture: tuple[tuple[float, Tensor], ...]
    slack: float
    method: str
    evaluations: int

    @property
    def gap(self) -> float:
        """By how much the bound may exceed the truth; 0 where a Bob within `slack` more attains it."""
        return max(0.0, self.value - self.lower)


def worst_regret(
    mdp: MDP,
    alice_reward: Any,
    bob_reward: Any,
    suboptimality: float,
    *,
    method: Literal["dual", "programme"] = "dual",
    tolerance: float = TOLERANCE,
    evaluations: int = EVALUATIONS,
) -> WorstRegret:
    """The largest regret by Alice's reward of any Bob who is optimal by his own up to `suboptimality`.

    max {V_A - J_A(pi) : J_B(pi) >= V_B - suboptimality} / rho(R_A), over all policies, randomised ones too.

    "dual" plans at one multiplier after another and suits large sparse processes. "programme" is the linear
    programme over occupancies by HiGHS, for some thousands of states; what it finds is then proven by planning, with
    a few multipliers more where that is not enough, so that `value` is a bound by either method, and within `gap` of
    the truth; the programme's is about 1e-9, and more where the discount is so near 1 that rounding is.

    Args:
        mdp: the process in which Bob acts, dense or sparse.
        alice_reward: (S,), (S, A) or (S, A, S).
        bob_reward: the same.
        suboptimality: V_B - J_B(pi) at most, in units of Bob's reward, at least 0. At 0 the answer is a knife's edge:
            see `WorstRegret.slack`.
        method: "dual" or "programme".
        tolerance: of Alice's range; the dual stops when value - lower is no more.
        evaluations: multipliers of the dual at most.

    Raises:
        InputError: rewards of a wrong shape or with NaN, a negative suboptimality, a return range of Alice's reward
            that is 0, or a programme that HiGHS did not solve.

    Source: weak duality of the programme over occupancies, Puterman 1994, section 6.9.
    """
    if method not in ("dual", "programme"):
        raise InputError(f"method = {method!r}: give 'dual' or 'programme'")
    suboptimality = one_number(suboptimality, "suboptimality")
    if not 0 <= suboptimality < np.inf:
        raise InputError(f"suboptimality = {suboptimality}: give a number of at least 0, in units of Bob's reward")
    if not one_number(tolerance, "tolerance") > 0 or not one_number(evaluations, "evaluations") >= 0:
        raise InputError(f"tolerance = {tolerance}, evaluations = {evaluations}: give above 0, and at least 0")
    her, his = valuation(mdp, alice_reward), valuation(mdp, bob_reward)
    if method == "programme":
        found, (lower, value), slack = programmed(her, his, suboptimality)
    else:
        dual = Dual.of(her, his, suboptimality, tolerance)
        found, slack, (low, high) = dual.search(tolerance, evaluations), dual.slack, dual.alice_range
        lower, value = max(0.0, _outward(found.lower / high, -1)), _outward(found.upper / low)
    states = her.reward.part.states
    return WorstRegret(
        value=min(1.0, value),  # no regret is above the range
        lower=lower,
        multiplier=float(found.multiplier) * her.reward.unit / his.reward.unit,
        mixture=tuple((float(chance), _chances(mdp, states, x.policies[0])) for chance, x in found.mixture),
        slack=float(slack) * his.reward.unit,
        method=method,
        evaluations=found.evaluations,
    )


def _outward(x: float, sign: int = 1) -> float:
    """Beyond the roundings of a few operations."""
    return float(x) + sign * 4 * EPS * abs(float(x))


def worst_inversion(mdp: MDP, alice_reward: Any, bob_reward: Any) -> float:
    """The most that Alice can lose by a change of policy that Bob's reward does not mind, as a share of her range.

    max {J_A(pi1) - J_A(pi2) : J_B(pi2) >= J_B(pi1)} / rho(R_A). With d = rho(R_A / rho_A - R_B / rho_B), both ranges
    above 0, it lies in [d / 2, d]. A linear programme over two occupancies finds a multiplier l, and the number is
    rho(R_A - l R_B) / rho(R_A), proven by planning: an upper bound by weak duality, rounding included. Further
    multipliers bring it to about 1e-9 of what a pair of policies attains, or as near as float64 resolves both
    rewards. It is 1 where Bob's return range is 0.

    Args:
        mdp: the process, up to some thousands of states.
        alice_reward: (S,), (S, A) or (S, A, S).
        bob_reward: the same.

    Raises:
        InputError: as `worst_regret`.

    Source: what soundness of a distance bounds, Skalse et al. 2024 (arXiv 2309.15257).
    """
    return inversion(mdp, alice_reward, bob_reward).high


def composed_bound(distance: float, suboptimality: float, bob_range: float) -> float:
    """Regret by Alice's reward as a share of her range, from a distance of rewards and Bob's learning error.

    Reg_A(pi) / rho_A <= d + suboptimality / rho_B,    d = rho(R_A / rho_A - R_B / rho_B).

    Proof: let x be the occupancy of Alice's best policy minus that of Bob's, s = R / rho. Then Reg_A / rho_A
    = <x, s_A> = <x, s_A - s_B> + <x, s_B>; the first is at most rho(s_A - s_B), and the second is the return by Bob's
    reward of Alice's best policy less his own, at most his suboptimality, over rho_B.

    Args:
        distance: d, from 0 to 2.
        suboptimality: V_B - J_B(pi) at most, in units of Bob's reward; without the division the bound is false.
        bob_range: rho_B > 0, in the same units.

    Raises:
        InputError: numbers out of their range.
    """
    if not (0 <= distance < np.inf and 0 <= suboptimality < np.inf):
        raise InputError(f"distance = {distance}, suboptimality = {suboptimality}: give numbers of at least 0")
    if not 0 < bob_range < np.inf:
        raise InputError(f"bob_range = {bob_range}: give the return range of Bob's reward, above 0")
    return distance + suboptimality / bob_range


def _chances(mdp: MDP, states: Tensor, policy: np.ndarray) -> Tensor:
    """(S, A) probabilities, of actions or of themselves, in the states of a part; the first action elsewhere."""
    whole = torch.zeros(mdp.states, mdp.actions, dtype=torch.float64)
    whole[:, 0] = 1.0
    whole[states] = torch.as_tensor(chances_of(policy, mdp.actions))
    return whole
