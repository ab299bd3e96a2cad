"""How far two rewards are apart in one process: range-STARC, STARC, EPIC, DARD; and the regret they bound.

kind        range   shaping  redistribution  scale  unreachable states   bound on regret
range       [0, 2]  yes      yes             yes    not counted          d / 2 <= worst regret / rho <= d
starc       [0, 2]  yes      yes             yes    not counted          |c(R1)| sqrt(2) d / ((1 - discount) rho)
starc-l2    [0, 2]  yes      yes             yes    not counted          the same
epic        [0, 1]  yes      no              yes    counted              none
dard        [0, 1]  yes      no              yes    counted              none

rho is the return range. A reward that no policy can change (rho = 0) is at distance 1 from every other (EPIC and
DARD: a half), and at 0 from its like.  S states, A actions

Source: Skalse et al. 2024, STARC (arXiv 2309.15257). Range-STARC and its constants are our own: `reward_distance`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._canonical_rewards import (
    coverage,
    dard_canonical,
    dense_transitions,
    epic_canonical,
    is_whole,
    pearson_distance,
)
from thalweg.mdp._rows import visited
from thalweg.mdp.occupancy import project
from thalweg.mdp.process import MDP, Gains

ROUNDING = 256 * 2.0**-52  # of the largest value, over 1 - discount: a range up to that is 0


def return_range(mdp: MDP, reward: Any) -> float | Tensor:
    """The largest expected return minus the smallest, rho(R) = max_pi J_R - min_pi J_R.

    That of `MDP.return_range`: a constant costs no digits, and a range that cannot be told from rounding is 0.

    Args:
        mdp: the process.
        reward: (S,), (..., S, A) or (S, A, S).

    Returns:
        A number, or (...) for a batch.

    Raises:
        InputError: a reward of another shape, or not finite.
    """
    return _plain(mdp.return_range(reward).detach())


def reward_distance(
    mdp: MDP, r1: Any, r2: Any, kind: str = "range", *, states: Any = None, actions: Any = None
) -> float | Tensor:
    """How far two rewards are apart in a process; a pseudometric.

    range:     rho(R1 / rho(R1) - R2 / rho(R2)). rho is a norm on rewards modulo shaping and redistribution, so that
               no canonical form is needed. With psi = max { J1(pi1) - J1(pi2) : J2(pi2) >= J2(pi1) } / rho(R1),
               d / 2 <= psi <= d, and both are attained. It does not change under a refinement of the states.
               (psi <= d: a loss by R1/rho1 is one by the difference plus one by R2/rho2, which is none. d / 2 <= psi:
               mix the pair that attains d with R2's best and worst until it is even by R2.)
    starc:     |c(R1) / |c(R1)| - c(R2) / |c(R2)||, the L2 norm, with value-adjusted levelling
               c(R)(s, a) = E[R(s, a, S') + discount V(S')] - V(s), V that of uniform choice. Without the factor 1/2
               of some later papers.
    starc-l2:  the same with the c(R) of least L2 norm, see `project`.
    epic:      the Pearson distance of `epic_canonical`, over independent state, action and next state.
    dard:      the Pearson distance of `dard_canonical`, over state, action, and next states that follow them.

    The first three see only states that some policy visits: at others they would count what no policy can earn.

    Args:
        mdp: the process.
        r1: (S,), (..., S, A) or (S, A, S).
        r2: the same, not necessarily of the same shape; batches broadcast.
        kind: one of the five.
        states: (S,) probabilities, for epic and dard; default uniform.
        actions: (A,) probabilities, for epic and dard; default uniform.

    Returns:
        A number, or (...) for batches.

    Raises:
        InputError: an unknown kind, a reward of another shape or not finite, distributions for a kind that has none.
    """
    if kind not in KINDS:
        raise InputError(f"kind = {kind!r}: give one of {', '.join(KINDS)}")
    if kind in UNITS:
        if states is not None or actions is not None:
            raise InputError(f"kind = {kind!r} has no distribution of states or actions: leave it out, or use 'epic'")
        part, first = _visited(mdp, r1)
        _, second = _visited(mdp, r2)
        unit, norm = UNITS[kind]
        return _plain(norm(part, unit(part, first) - unit(part, second)))
    shape = epic_canonical if kind == "epic" else dard_canonical
    first, second = (shape(mdp, reward, states, actions) for reward in (r1, r2))
    over_states, over_actions = coverage(mdp, states, actions)
    after = over_states.expand(mdp.states, mdp.actions, -1) if kind == "epic" else dense_transitions(mdp)
    weights = over_states[:, None, None] * over_actions[:, None] * after
    noise = (_largest(mdp, r1) * ROUNDING, _largest(mdp, r2) * ROUNDING)
    return _plain(pearson_distance(first, second, weights, noise))


def regret_bound(mdp: MDP, r1: Any, r2: Any, kind: str = "range") -> float:
    """What the distance promises: the largest share of R1's range that a step no worse by R2 can lose.

    J1(pi1) - J1(pi2) <= bound rho(R1)  for all pi1, pi2 with J2(pi2) >= J2(pi1); so with pi1 best by R1, a policy
    that is best by R2 has at most this normalised regret.

    range: the distance itself (U = 1). starc, starc-l2: |c(R1)| D d / rho(R1), where D = sqrt(2) / (1 - discount) is
    the L2 diameter of occupancies, by <eta1 - eta2, c1> <= |c1| <eta1 - eta2, c1/|c1| - c2/|c2|>. That one is usually
    vacuous, above 1, and returned as it is.

    Args:
        mdp: the process.
        r1: the reward that judges, any single shape.
        r2: the reward that is followed.
        kind: range, starc or starc-l2.

    Returns:
        At least 0, as a share of the return range of r1.

    Raises:
        InputError: epic and dard, which bound no regret of all policies; a return range of 0; batches.
    """
    if kind not in UNITS:
        raise InputError(f"kind = {kind!r} bounds no regret: give one of {', '.join(UNITS)}")
    distance, span = reward_distance(mdp, r1, r2, kind), return_range(mdp, r1)
    if isinstance(distance, Tensor) or isinstance(span, Tensor):
        raise InputError("a bound is of one pair of rewards, this is a batch: give (S,), (S, A) or (S, A, S)")
    if span == 0:
        raise InputError("the return range of r1 is 0, every policy returns the same: regret has no share of it")
    if kind == "range":
        return distance
    part, gain = _visited(mdp, r1)
    size = float(_norm(part, CANONICAL[kind](part, gain)))
    return size * math.sqrt(2) / (1 - mdp.discount) * distance / span


def levelled(mdp: MDP, reward: Any) -> Tensor:
    """(..., S, A): value-adjusted levelling, the advantage under uniform choice; c of the kind `starc`.

    c(R)(s, a) = E[R(s, a, S') + discount V(S')] - V(s)

    Args:
        mdp: the process.
        reward: (S,), (..., S, A) or (S, A, S).

    Raises:
        InputError: a reward of another shape, or not finite.
    """
    return _levelled(mdp, mdp.mean_reward(reward).detach())[0]


def _visited(mdp: MDP, reward: Any) -> tuple[MDP, Tensor]:
    """The process and a mean reward (..., S', A) on the states that policies visit, less a constant."""
    states, part = visited(mdp)
    gain = mdp.mean_reward(reward).detach()[..., states, :]
    return part, gain - part.level(gain)[..., None, None]


def _levelled(part: MDP, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Advantages (..., S, A) under uniform choice, and (...) what of them is rounding."""
    uniform = torch.full((part.states, part.actions), 1 / part.actions, dtype=torch.float64)
    level = (1 - part.discount) * (part.solve(uniform, gain) @ part.start)  # a constant costs digits
    gain = gain - level[..., None, None]
    value = part.solve(uniform, gain)
    size = torch.maximum(value.abs().amax(-1), gain.abs().amax((-1, -2)))
    return part.backup(gain, value) - value[..., None], ROUNDING * size / (1 - part.discount)


def _range(part: MDP, gain: Tensor, noise: Tensor | float = 0.0) -> Tensor:
    """(...): rho of (..., S, A), on rewards of size 1, since the planner's tolerance is absolute at small ones."""
    size = gain.abs().amax((-1, -2))
    scale = torch.where(size > 0, size, 1.0)
    span = scale * part.return_range(Gains(gain / scale[..., None, None]))
    return torch.where(span > noise, span, 0.0)


def _norm(part: MDP, gain: Tensor) -> Tensor:
    """(...): L2 over states and actions."""
    return gain.square().sum((-1, -2)).sqrt()


def _level(part: MDP, gain: Tensor) -> Tensor:
    """Canonical form of `starc`."""
    return _levelled(part, gain)[0]


def _least(part: MDP, gain: Tensor) -> Tensor:
    """Canonical form of `starc-l2`, of the advantage, which is smaller than the reward and has the same one."""
    return project(part, Gains(_level(part, gain)))


def _unit_by(canonical: Callable[[MDP, Tensor], Tensor], norm: Callable[[MDP, Tensor], Tensor]) -> Callable:
    """What divides a canonical form by its norm, and makes 0 of one that is rounding."""

    def unit(part: MDP, gain: Tensor) -> Tensor:
        """(..., S, A) of norm 1 or 0."""
        form, noise = canonical(part, gain), _levelled(part, gain)[1]
        size = norm(part, form)
        real = size > noise * (1 if norm is _range else math.sqrt(part.states * part.actions))
        return form * torch.where(real, 1 / torch.where(real, size, 1.0), 0.0)[..., None, None]

    return unit


def _largest(mdp: MDP, reward: Any) -> Tensor:
    """(...): the largest entry of a reward of one step, or of each of a batch."""
    given = reward.each if isinstance(reward, Gains) else reward
    size = torch.as_tensor(given, dtype=torch.float64).detach().abs()
    return size.amax() if size.ndim == 1 or is_whole(mdp, reward) else size.amax((-1, -2))


def _plain(value: Tensor) -> float | Tensor:
    """A number where there is one."""
    return float(value) if value.ndim == 0 else value


CANONICAL = {"starc": _level, "starc-l2": _least}
UNITS = {  # kind -> what scales a reward to 1, what measures a difference
    "range": (_unit_by(_level, _range), _range),
    **{kind: (_unit_by(form, _norm), _norm) for kind, form in CANONICAL.items()},
}
KINDS = (*UNITS, "epic", "dard")  # of distances between rewards
