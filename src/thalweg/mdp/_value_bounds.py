"""Proven bounds of the value of a policy and of the best value, by one direct solve and a bounded residual.

For any v, with T v = max_a (R_a + discount P_a v), T_pi that of a policy, and w, z at least 0,

    w >= (T v - v)+ + discount max_a P_a w      =>   V*  <=  v + w
    z >= (v - T_pi v)+ + discount P_pi z        =>   V_pi >=  v - z

since both operators are monotone. Residuals are raised by their own rounding and by what rewards, rows and policy
leave open, state by state: where a loss is large and rare, its rounding is as rare. What a computed w misses of its
inequality is solved for again, and in the end added over 1 - discount: rows sum to 1. Dense or sparse, batches in
front.       S states, A actions

Source: Puterman 1994, *Markov Decision Processes*, theorem 6.2.2 for the inequalities; bounds of rounding: Higham
2002, *Accuracy and Stability of Numerical Algorithms*, sec. 3.1.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.mdp._policy_iteration import Plan
from thalweg.mdp._transitions import Summed
from thalweg.mdp.probabilities import EPS
from thalweg.mdp.process import MDP, Gains

REFINED = 2  # corrections of a solution by its residual
REPAIRS = 3  # of a w that misses its inequality
SMALL = 1e-3  # of w at the start, that may be added to it everywhere


class Bracket(NamedTuple):
    """Bounds:  value - below <= V_policy <= V* <= value + above;  of one policy, without V*.

    Attributes:
        value: (..., S).
        below: (..., S) at least 0.
        above: (..., S) at least 0.
        policy: (..., S, A) that has the value.
    """

    value: Tensor
    below: Tensor
    above: Tensor
    policy: Tensor


def best(mdp: MDP, gain: Tensor, error: Tensor | float, choice: Tensor | None = None) -> Bracket:
    """The best policy of each mean reward, and bounds of its value and of the best one.

    The reward (..., S, A) is of size about 1, without a large constant, and may be off by `error`; the search begins
    from actions (..., S).
    """
    with torch.no_grad():
        found = mdp.improved(gain, choice)
        solve = mdp.dynamics.solver(found.policy, mdp.discount)
        gain, value, shift = _levelled(mdp, gain, found.policy, found.value, solve)
        values = mdp.backup(gain, value)
        doubt = _doubt(mdp, gain, value) + error
        over = ((values + doubt).amax(-1) - value).clamp(min=0)
        under = (value - (found.policy * (values - doubt)).sum(-1)).clamp(min=0)
        above = _weighted(mdp, over, None, _most(mdp, found.policy))
        below = _weighted(mdp, under, found.policy, solve)
    return _shifted(value, shift, below, above, found.policy)


def own(mdp: MDP, policy: Tensor, gain: Tensor, error: Tensor | float, off: float = 0.0) -> Bracket:
    """As `best`, of given policies whose chances may be off by `off`, relative: here `above` is of V_policy too."""
    with torch.no_grad():
        policy, gain = torch.broadcast_tensors(policy, gain)
        solve = mdp.dynamics.solver(policy, mdp.discount)
        gain, value, shift = _levelled(mdp, gain, policy, solve((policy * gain).sum(-1)), solve)
        values = mdp.backup(gain, value)
        mean = (policy * values).sum(-1)
        doubt = (policy * (_doubt(mdp, gain, value) + error)).sum(-1)
        doubt = doubt + (mdp.actions + 3) * EPS * (policy * values.abs()).sum(-1)
        doubt = doubt + off * (policy * (values - mean[..., None]).abs()).sum(-1)
        over, under = ((mean - value + doubt).clamp(min=0), (value - mean + doubt).clamp(min=0))
        above, below = (_weighted(mdp, x, policy, solve, off) for x in (over, under))
    return _shifted(value, shift, below, above, policy)


def shortfall(
    mdp: MDP,
    gain: Tensor,
    plan: Plan,
    error: Tensor | float = 0.0,
    *,
    where: Tensor | None = None,
    alone: bool = False,
) -> Tensor:
    """(...): how far a plan's value may be from V* above and from its policy's own value below, in visited states.

    Cheaper than `best`, and wider: as if the largest residual were everywhere.

    Args:
        mdp: the process.
        gain: (..., S, A) mean rewards; a large constant in them makes it wide.
        plan: values (..., S) and policies (..., S, A).
        error: (..., S, A), or what broadcasts to it, by how much a reward may be off.
        where: (S,) states, closed under every policy, of which it is said; default those that are reached.
        alone: of the policy's own value, without V*.
    """
    with torch.no_grad():
        values = mdp.backup(gain, plan.value)
        doubt = _doubt(mdp, gain, plan.value) + error
        over = (plan.policy * (values + doubt)).sum(-1) if alone else (values + doubt).amax(-1)
        under = (plan.policy * (values - doubt)).sum(-1)
        seen = mdp.reachable if where is None else where
        off = torch.maximum(over - plan.value, plan.value - under)[..., seen]
        off = off + (mdp.actions + 3) * EPS * plan.value.abs()[..., seen] if alone else off
        return off.amax(-1).clamp(min=0) / (1 - mdp.discount) * (1 + 4 * EPS)


def returned(mdp: MDP, gain: Tensor, error: Tensor | float = 0.0) -> tuple[Tensor, Tensor, Plan]:
    """(...), (...): bounds of the best return of mean rewards, as `shortfall` has them; and the plan."""
    plan = mdp.optimal(Gains(gain))
    mean, size = plan.value @ mdp.start, plan.value.abs() @ mdp.start
    off = shortfall(mdp, gain, plan, error) + ((mdp.states + 8) * EPS + 2 * mdp.rounding) * size
    return mean - off, mean + off, plan


def spans(mdp: MDP, gain: Tensor, error: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """(...), (...): bounds of the return range, the same way."""
    (low, high, _), (least, most, _) = (returned(mdp, sign * gain, error) for sign in (1, -1))
    return low + least, high + most


def _most(mdp: MDP, policy: Tensor) -> Summed:
    """Sums under the policy that sums up most, found from a given one, then from that of the call before."""
    choice = policy.argmax(-1)

    def found(paid: Tensor) -> Tensor:
        nonlocal choice
        plan = mdp.improved(paid[..., None].expand(*paid.shape, mdp.actions), choice)
        choice = plan.policy.argmax(-1)
        return plan.value

    return found


def _levelled(mdp: MDP, gain: Tensor, policy: Tensor, value: Tensor, solve: Summed) -> tuple[Tensor, Tensor, Tensor]:
    """A level taken off a value, and what that takes off each reward; the value corrected by its residual."""
    shift = value @ mdp.start
    gain = gain - (1 - mdp.discount) * shift[..., None, None]
    value = value - shift[..., None]
    for _ in range(REFINED):
        values = mdp.backup(gain, value)
        value = value + solve((policy * values).sum(-1) - value)
    return gain, value, shift


def _doubt(mdp: MDP, gain: Tensor, value: Tensor) -> Tensor:
    """(..., S, A): rounding of an action value less a value, and what rows leave open: rounding times deviation."""
    moved = mdp.discount * mdp.rounding * (1 + 4 * mdp.rounding)
    return mdp.noise(gain, value) + moved * _deviation(mdp, value)


def _deviation(mdp: MDP, value: Tensor) -> Tensor:
    """(..., S, A): sum P |v - P v|  but for rounding; of a batch the root mean square, which is cheaper and larger.

    Where a step of chance p leads far away, it is larger by 1 / sqrt(p).
    """
    mean = mdp.expected(value)
    if value.ndim > 1:
        square = mdp.expected(value.square())
        return ((square - mean.square()).clamp(min=0) + 4 * (mdp.dynamics.terms + 4) * EPS * square).sqrt()
    return mdp.dynamics.deviation(value, mean)


def _weighted(mdp: MDP, residual: Tensor, policy: Tensor | None, summed: Summed, off: float = 0.0) -> Tensor:
    """(..., S): w of the inequality above, of one policy or of all, as `summed` has it but for rounding."""
    unit = residual.amax(-1, keepdim=True).clamp(min=1e-300)
    asked, rounding = (residual / unit) * (1 + 4 * EPS), (mdp.dynamics.terms + mdp.actions + 8) * EPS
    more = 1 + rounding + mdp.rounding * (1 + 4 * mdp.rounding)
    raised, turn = asked, 0
    while True:
        found = summed(raised).clamp(min=0)
        ahead = mdp.expected(found)
        ahead = ahead.amax(-1) if policy is None else (policy * ahead).sum(-1) * (1 + off)
        short = asked + mdp.discount * ahead * more + 4 * EPS * found - found
        missing = short.amax(-1, keepdim=True).clamp(min=0) / (1 - mdp.discount)
        if turn == REPAIRS or bool((missing[..., 0] <= SMALL * (found @ mdp.start)).all()):
            everywhere = residual.amax(-1, keepdim=True) / (1 - mdp.discount) * (1 + 4 * EPS)  # the largest of them
            return torch.minimum((found + missing) * unit * (1 + 8 * EPS), everywhere)
        raised, turn = raised + 2 * short.clamp(min=0) + 8 * rounding * found, turn + 1


def _shifted(value: Tensor, shift: Tensor, below: Tensor, above: Tensor, policy: Tensor) -> Bracket:
    """With the shift back in the value; its roundings go to both sides."""
    whole = value + shift[..., None]
    rounded = 2 * EPS * (whole.abs() + shift.abs()[..., None])
    return Bracket(whole, below + rounded, above + rounded, policy)
