"""What is lost between fine states and coarse ones, and what a certificate owes to it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from thalweg.mdp.process import MDP
from thalweg.mdp.valuation import valuation


class Pushed(NamedTuple):
    """A reward on coarse states.

    Attributes:
        reward: (B, A), the middle of what the fine states of each block earn.
        error: eps_R, how far from it a fine state earns at most.
    """

    reward: Tensor
    error: float


class LargestError(NamedTuple):
    """Where a coarse description is furthest from the fine one.

    Attributes:
        size: the largest difference.
        state: the fine state that has it.
        action: at which action.
    """

    size: float
    state: int
    action: int


@dataclass(frozen=True)
class AbstractionError:
    """What a certificate on coarse states owes to the fine ones.

    One policy pi, of coarse states, and the same on fine ones:
    |J_fine - J_coarse| <= (eps_R + discount eps_tau span(V^pi) / 2) / (1 - discount). The best return obeys the same
    with span(V*), over all fine policies; so does the worst. Regret and range are differences of two such returns.
    Every fine policy has a coarse one that obeys it for all rewards at once: conditional on the block, its visits.

    Attributes:
        reward: eps_R, largest |R(s, a) - R_coarse(phi(s), a)|.
        transitions: eps_tau, largest L1 distance of a pushed forward fine row to its coarse row, in [0, 2].
        span: mean of the spans of the two coarse values.
        discount: in [0, 1).
    """

    reward: float
    transitions: float
    span: float
    discount: float

    @property
    def error(self) -> float:
        """`two_policy_error`: add it to a regret of coarse states, the worst too.

        In units of the reward. Where Bob is given by a reward and a suboptimality, the error by *his* reward must be
        added to his suboptimality first, and for a share of the range, the range be
        lowered by the error of any policy.
        """
        return two_policy_error(self.reward, self.transitions, self.span, self.discount)


def two_policy_error(reward: Any, transitions: float, span: Any, discount: float) -> Any:
    """2 (eps_R + discount eps_tau span / 2) / (1 - discount), in units of the reward; of numbers or tensors of them.

    Args:
        reward: eps_R, at least 0.
        transitions: eps_tau in L1, in [0, 2].
        span: mean of the spans of the two values.
        discount: in [0, 1).
    """
    return 2 * (reward + discount * transitions * span / 2) / (1 - discount)


class ModelErrorBound(NamedTuple):
    """What a process that differs from the stated one may change, in units of the reward or as shares of its range.

    Attributes:
        regret: by how much a regret may be larger there.
        range: by how much the return range may be smaller.
    """

    regret: float
    range: float


def model_error_bound(mdp: MDP, reward: Any, off: float, transitions: float, policy: Any = None) -> ModelErrorBound:
    """What regret and return range may differ by in a process near the stated one, in units of the reward.

    Args:
        mdp: the stated process.
        reward: (S,), (S, A) or (S, A, S).
        off: eps_R, by which mean rewards differ at most.
        transitions: eps_tau, by which rows differ at most, in L1.
        policy: (S, A) whose regret is in question; default any at all.
    """
    known = valuation(mdp, reward, whole=transitions > 0)  # rows that differ may lead to any state
    spans = known.span(policy), (known.best.span + known.worst.span) / 2
    return ModelErrorBound(
        *(two_policy_error(off, transitions, span * known.reward.unit, mdp.discount) for span in spans)
    )
