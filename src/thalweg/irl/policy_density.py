"""The route without a reward: Alice's policy density is her value class, and no planner stands between.

    Boltzmann-Q*:  Reg_A(pi) = (1/b) E_{eta^pi}[Delta],   Delta(s, a) = max_a' log pi_A(a'|s) - log pi_A(a|s)
    soft:          R_A = alpha log pi_A  up to potential shaping by V_soft

By the first, -Delta is R_A times b up to shaping, so that Reg_A / rho(R_A) needs no b. Both hold in the process that
Alice plans in, with her discount; no density tells of states that were not seen.        S states, A actions
Source: performance difference (Kakade & Langford 2002); the bounds of counts after Robbins 1970."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from scipy.optimize import brentq
from scipy.special import betaln
from scipy.stats import beta as beta_law
from torch import Tensor

from thalweg.errors import InputError
from thalweg.irl.choice_models import Boltzmann, ChoiceModel, Soft
from thalweg.mdp import MDP
from thalweg.results import Result

Design = Literal["anytime", "fixed"]


def implied_reward(choice_model: ChoiceModel, log_policy: Any) -> Tensor:
    """A reward that orders policies as the agent's own does, up to its scale for a Boltzmann chooser.

    Args:
        choice_model: that the agent chooses by. Of Boltzmann: -Delta, which is b R (b R / rho where relative) up
            to shaping.
            Of `Soft`: temperature times log pi, which is R up to shaping, scale included.
        log_policy: (S, A) nats.

    Returns:
        (S, A).

    Raises:
        InputError: a choice model of neither kind, rows that are no distribution, probabilities of 0.
    """
    logs = _checked(log_policy)
    if isinstance(choice_model, Soft):
        return choice_model.temperature * logs
    if isinstance(choice_model, Boltzmann):
        return logs - logs.amax(-1, keepdim=True)
    raise InputError(
        f"choice model {type(choice_model).__name__}: only Boltzmann and Soft choosers have a reward in their density"
    )


def density_regret(
    mdp: MDP, choice_model: ChoiceModel, log_policy: Any, policy: Tensor, *, normalised: bool = True
) -> float:
    """Regret of a policy by an agent's values, from the agent's log probabilities alone; exact.

    Args:
        mdp: the process that the agent plans in and the policy acts in: one and the same.
        choice_model: that the agent chooses by.
        log_policy: (S, A) nats, of the agent.
        policy: (S, A) that is judged.
        normalised: as a share of the return range, which needs no inverse temperature; else in units of reward, or
            of the return range where the choice model is relative.

    Raises:
        InputError: log probabilities that are none, a return range of 0.
    """
    reward = implied_reward(choice_model, log_policy)
    lost = float(mdp.regret(policy, reward, normalised=normalised))
    return lost / choice_model.inverse_temperature if isinstance(choice_model, Boltzmann) and not normalised else lost


@dataclass(frozen=True)
class DensityBound(Result):
    """An upper bound of Reg_A / rho(R_A), or a reason why there is none.

    Attributes:
        raw: the bound; infinite where there is none.
        reasons: why.
        confidence: with which it holds.
    """

    raw: float
    reasons: tuple[str, ...]
    confidence: float
    refusal: ClassVar[str] = "no bound from counts: {1}"


def probability_bounds(counts: Any, delta: float, design: Design = "anytime") -> tuple[Tensor, Tensor]:
    """Bounds of all action probabilities that hold together with probability 1 - delta.

    `anytime`: { p : k log p + (m - k) log(1 - p) >= log B(k + 1, m - k + 1) + log delta / (S A) }, of a martingale,
    so that the numbers of visits m may depend on the choices, as they do along a trajectory. `fixed`: Clopper and
    Pearson's, a little narrower, delta over the number of pairs in visited states; false where m depends on choices.

    Args:
        counts: (S, A) of an agent's choices.
        delta: between 0 and 1.
        design: how visits came about.

    Returns:
        (S, A) lower and upper; 0 and 1 where a state was not seen.

    Raises:
        InputError: counts below 0 or not whole, delta out of range.
    """
    found = torch.as_tensor(counts, dtype=torch.float64)
    if found.ndim != 2 or (found < 0).any() or not torch.equal(found, found.round()):
        raise InputError(f"counts of shape {tuple(found.shape)}: give whole numbers of at least 0, (S, A)")
    if not 0 < delta < 1 or design not in ("anytime", "fixed"):
        raise InputError(f"delta {delta}, design {design!r}: give a number between 0 and 1, 'anytime' or 'fixed'")
    visits = found.sum(-1)
    each = delta / max(1, int((visits > 0).sum()) if design == "fixed" else len(found)) / found.shape[1]
    low, high = torch.zeros_like(found), torch.ones_like(found)
    seen = visits > 0
    pairs = torch.stack([found[seen], visits[seen, None].expand(-1, found.shape[1])], -1)
    alike, which = pairs.reshape(-1, 2).unique(dim=0, return_inverse=True)  # a root for each k of m that there is
    ends = torch.tensor([_interval(k, m, each, design) for k, m in alike.tolist()], dtype=torch.float64).reshape(
        -1, 2
    )
    low[seen], high[seen] = ends[which].reshape(*pairs.shape[:2], 2).unbind(-1)
    return low, high


def bounded_density_regret(
    mdp: MDP, counts: Any, policy: Tensor, delta: float, *, design: Design = "anytime"
) -> DensityBound:
    """Above Reg_A(policy) / rho(R_A) of a Boltzmann chooser, of any inverse temperature, from counts alone.

    Reg <= E_eta[log max upper - log lower] over  rho >= max_pi E_pi[max(0, log max lower - log upper)], both times
    b. It never is the trivial 1: where the counts do not tell there is a reason in its place.

    Args:
        mdp: the process that Alice plans in and the policy acts in.
        counts: (S, A) of Alice's choices, or a `Behaviour`'s.
        policy: (S, A).
        delta: it fails with at most this probability.
        design: see `probability_bounds`.

    Raises:
        InputError: see `probability_bounds`.
    """
    low, high = probability_bounds(counts, delta, design)
    if low.shape != (mdp.states, mdp.actions):
        raise InputError(f"counts have shape {tuple(low.shape)}: give ({mdp.states}, {mdp.actions})")
    visits = mdp.occupancy(policy)
    seen = torch.as_tensor(counts).sum(-1) > 0
    reasons = []
    for s in ((visits.sum(-1) > 0) & ~seen).nonzero()[:, 0].tolist()[:3]:
        reasons.append(f"state {s}, occupancy {float(visits[s].sum()):.3g}, was never seen: ask Alice there")
    for s, a in ((visits > 0) & seen[:, None] & (low == 0)).nonzero().tolist()[:3]:
        reasons.append(f"Alice never chose action {a} in state {s}, the policy does: its regret has no bound")
    least = (low.amax(-1, keepdim=True).log() - high.log()).clamp(min=0)  # log 0 is below any: no evidence, no gap
    span = float(mdp.optimal(least).value @ mdp.start)
    if not span > 0:
        reasons.append("no choice is significantly preferred: the return range has no lower bound, take more choices")
    if reasons:
        return DensityBound(math.inf, tuple(reasons), 1 - delta)
    most = torch.where(visits > 0, high.amax(-1, keepdim=True).log() - low.log(), 0.0)
    lost = float((visits * most).sum())
    if lost >= span:
        reasons.append(f"the bound is {lost / span:.3g}, no better than the whole range: take more choices")
    return DensityBound(lost / span, tuple(reasons), 1 - delta)


def _interval(k: float, m: float, delta: float, design: Design) -> tuple[float, float]:
    """Bounds of one probability, of k in m."""
    if design == "fixed":
        low = float(beta_law.ppf(delta / 2, k, m - k + 1)) if k > 0 else 0.0
        return low, float(beta_law.ppf(1 - delta / 2, k + 1, m - k)) if k < m else 1.0
    cut = float(betaln(k + 1, m - k + 1)) + math.log(delta)

    def above(p: float) -> float:
        """Log likelihood less what the set asks for."""
        return (k * math.log(p) if k else 0.0) + ((m - k) * math.log1p(-p) if k < m else 0.0) - cut

    peak, tiny = k / m, 1e-300
    low = _root(above, tiny, peak) if k > 0 and above(tiny) < 0 else 0.0
    high = _root(above, peak, 1 - 1e-16) if k < m and above(1 - 1e-16) < 0 else 1.0
    return low, high


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a function changes sign."""
    found: Any = brentq(f, low, high, xtol=1e-15)
    return float(found)


def _checked(log_policy: Any) -> Tensor:
    """(S, A) finite log probabilities."""
    logs = torch.as_tensor(log_policy, dtype=torch.float64)
    if logs.ndim != 2:
        raise InputError(f"log probabilities have shape {tuple(logs.shape)}: give (S, A) of one agent")
    if not torch.isfinite(logs).all():
        raise InputError(
            "log probabilities hold NaN or infinity: an action of probability 0 has a regret of any size"
        )
    if ((torch.logsumexp(logs, -1)).abs() > 1e-6).any():
        raise InputError("log probabilities do not sum to 1 as probabilities: take log_softmax of logits")
    return logs
