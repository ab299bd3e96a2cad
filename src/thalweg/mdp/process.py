"""Finite Markov decision processes: values, occupancies, regret. Float64 throughout.

A policy is a tensor (..., S, A) of probabilities. A reward is (S,) of the state, (..., S, A) of state and
action, or exactly (S, A, S) of the whole step. Leading axes are batches. All is differentiable in both, dense
or sparse, by autograd in reverse and as often as one likes; where more than that holds or less, it is said.

    V = r_pi + discount P_pi V,    J = <start, V> = <occupancy, r>,    regret = V* - J

Source: Puterman 1994, *Markov Decision Processes*, ch. 6.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.csgraph import breadth_first_order
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._policy_iteration import Plan, backup, entropy, improved, log_entropy, noise, softly_improved
from thalweg.mdp._transitions import Transitions, read
from thalweg.mdp.probabilities import EPS, POLICY, distributions, numbers, one_number

FLAT = 4.0  # times what the rounding of a range may be, up to which it is 0
HORIZON = 64  # steps that `usual` looks ahead


@dataclass(frozen=True, eq=False)
class Gains:
    """A batch of mean rewards (..., S, A), said to be one: (S, S, S) could be the reward of whole steps."""

    each: Tensor


@dataclass(frozen=True, eq=False, init=False)
class MDP:
    """A finite Markov decision process without its reward.                 S states, A actions

    Attributes:
        dynamics: its transitions, dense or sparse.
        start: (S,) probabilities.
        discount: in [0, 1).
        actions: A.
        rounding: relative, by which a chance may be off: half a unit in the last place of what was given, and what
            its row missed 1 by before it was divided by its sum.
        kept: what has been read of it, by name, to be read once.
    """

    dynamics: Transitions
    start: Tensor
    discount: float
    actions: int
    rounding: float
    kept: dict[str, Any] = field(repr=False)

    def __init__(self, transitions: Any, start: Any, discount: float, *, rounding: float = 0.0) -> None:
        """Check and keep; rows and start are divided by their sums in float64.

        Args:
            transitions: (S, A, S) as array or tensor, dense or sparse, or A sparse scipy matrices (S, S).
            start: (S,) probabilities.
            discount: in [0, 1).
            rounding: by which chances that were computed from others may be off at least, relative.

        Raises:
            InputError: shapes that do not fit, rows that do not sum to 1, a discount out of its range.
        """
        dynamics, off = read(transitions)
        first, missed = distributions(start, "start")
        if first.shape != (dynamics.states,):
            raise InputError(
                f"start has shape {tuple(first.shape)}, the process {dynamics.states} states: give one for each"
            )
        if not 0 <= one_number(discount, "discount") < 1:
            raise InputError(f"discount = {discount}: give a number in [0, 1)")
        for name, value in {
            "dynamics": dynamics,
            "start": first.detach(),
            "discount": float(discount),
            "actions": dynamics.actions,
            "rounding": max(off, missed, rounding),
            "kept": {},
        }.items():
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """What it was made from; the rest is read anew."""
        return {name: vars(self)[name] for name in self.__dataclass_fields__} | {"kept": {}}

    def __repr__(self) -> str:
        kind = "dense" if self.dynamics.dense else "sparse"
        return f"MDP({self.states} states, {self.actions} actions, {kind}, discount={self.discount:g})"

    @property
    def states(self) -> int:
        """S."""
        return len(self.start)

    @property
    def transitions(self) -> Tensor | None:
        """(S, A, S) dense, or None where it is sparse."""
        return self.dynamics.chances if self.dynamics.dense else None

    @property
    def sparse(self) -> Any:
        """(S A, S), the same as rows of state and action, or None where it is dense."""
        return None if self.dynamics.dense else self.dynamics.rows

    def same(self, other: "MDP") -> bool:
        """Whether two are one process, to the last digit."""
        size = (self.states, self.actions, self.discount) == (other.states, other.actions, other.discount)
        return size and torch.equal(self.start, other.start) and self.dynamics.same(other.dynamics)

    @cached_property
    def reachable(self) -> Tensor:
        """(S,) whether a state is reached from the start by any policy."""
        pairs = self.dynamics.rows
        first = self.start.nonzero()[:, 0].numpy()
        edges = (  # from each state by any action, and from one more to where the process starts
            np.ones(pairs.nnz + len(first), dtype=np.int8),
            np.concatenate([pairs.indices, first]),
            np.append(pairs.indptr[:: self.actions], pairs.nnz + len(first)),
        )
        graph = sparse.csr_matrix(edges, shape=(self.states + 1, self.states + 1))
        seen = np.zeros(self.states + 1, dtype=bool)
        seen[breadth_first_order(graph, self.states, return_predecessors=False)] = True
        return torch.as_tensor(seen[:-1])

    def mean_reward(self, reward: Any) -> Tensor:
        """(..., S, A): a reward of any shape, or `Gains`, as its mean over the next state.

        Raises:
            InputError: a shape that is none of the three, or numbers that are not finite.
        """
        given = numbers(reward.each if isinstance(reward, Gains) else reward, "reward")
        if not torch.isfinite(given).all():
            raise InputError("reward holds NaN or infinity: give finite numbers")
        size = (self.states, self.actions)
        if given.shape == (self.states,):
            return given[:, None].expand(size)
        if given.shape == (*size, self.states) and not isinstance(reward, Gains):
            return self.dynamics.mean(given)
        if given.ndim >= 2 and given.shape[-2:] == size:
            return given
        raise InputError(
            f"reward has shape {tuple(given.shape)}: give ({self.states},), (..., {size[0]}, {size[1]}) or"
            f" ({size[0]}, {size[1]}, {self.states})"
        )

    def expected(self, value: Tensor) -> Tensor:
        """(..., S, A): the mean of a value (..., S) at the next state."""
        return self.dynamics.expected(value)

    def backup(self, gain: Tensor, value: Tensor) -> Tensor:
        """(..., S, A): the value of an action now, by mean rewards, and of a value (..., S) afterwards."""
        return backup(self.dynamics, self.discount, gain, value)

    def evaluate(self, policy: Tensor, reward: Any) -> Tensor:
        """(..., S): the value of a policy from each state on.

        Raises:
            InputError: a policy of another shape, or of rows that do not sum to 1.
        """
        return self.solve(self.checked(policy), self.mean_reward(reward))

    def solve(self, policy: Tensor, gain: Tensor) -> Tensor:
        """(..., S): the same of a policy and a reward (..., S, A) in float64, unchecked: what `vmap` can take.

        Dense processes only, under `vmap`. Take its second derivatives in reverse: torch's forward rule for
        `linalg.solve` gives wrong ones (pytorch issue 192540), and so does `vmap` of `torch.func.jacfwd`.
        """
        policy, gain = torch.broadcast_tensors(policy, gain)
        return self.dynamics.solve(policy, gain, self.discount)

    def action_values(self, policy: Tensor, reward: Any) -> Tensor:
        """(..., S, A): the value of an action now and the policy afterwards."""
        gain = self.mean_reward(reward)
        return self.backup(gain, self.solve(self.checked(policy), gain))

    def returns(self, policy: Tensor, reward: Any) -> Tensor:
        """(...): J, the expected discounted sum of rewards from the start."""
        return self.evaluate(policy, reward) @ self.start

    def occupancy(self, policy: Tensor) -> Tensor:
        """(..., S, A): expected discounted visits, which sum to 1 / (1 - discount)."""
        policy = self.checked(policy)
        return self.dynamics.visits(policy, self.start, self.discount)[..., None] * policy

    def optimal(self, reward: Any) -> Plan:
        """The best policy for each reward of a batch, by policy iteration until no action is better.

        The value is piecewise linear in the reward, and differentiable at a constant policy (Danskin): its gradient
        is the policy's occupancy. Where best policies tie this is one of the subgradients.
        Source: Howard 1960; it ends, since each round is strictly better and policies are finitely many.
        """
        gain = self.mean_reward(reward)
        with torch.no_grad():
            level = self.level(gain)
            plan = self.improved(gain - level[..., None, None])
            plan = Plan(plan.value + level[..., None] / (1 - self.discount), plan.policy)
        return Plan(self.solve(plan.policy, gain), plan.policy) if _moving(gain) else plan

    def _solved(self, gain: Tensor, choice: Tensor | None = None) -> Plan:
        """The best policy of mean rewards without a level, found from a choice of actions."""
        with torch.no_grad():
            plan = self.improved(gain, choice)
        return Plan(self.solve(plan.policy, gain), plan.policy) if _moving(gain) else plan

    @cached_property
    def usual(self) -> Tensor:
        """(S,): discounted visits under uniform choice, by some steps and the last one for ever: what matters."""
        found, here, weight = torch.zeros(self.states, dtype=torch.float64), self.start, 1.0
        for _ in range(HORIZON):
            found, weight = found + weight * here, weight * self.discount
            here = self.dynamics.onward((here[:, None] / self.actions).expand(-1, self.actions))
        return found + weight / (1 - self.discount) * here

    def level(self, gain: Tensor) -> Tensor:
        """(...): the constant from which mean rewards (..., S, A) depart the least, where policies usually come.

        A constant changes no regret, and taken off it costs no digits. It is the median by `usual` visits: states
        that nobody reaches do not move it, nor do rare ones of large rewards.
        """
        flat = gain.detach().flatten(-2)
        values, order = flat.sort(-1)
        passed = self.usual[:, None].expand(-1, self.actions).flatten()[order].cumsum(-1)
        middle = (passed >= passed[..., -1:] / 2).to(torch.int8).argmax(-1, keepdim=True)
        return values.gather(-1, middle)[..., 0]

    def noise(self, gain: Tensor, value: Tensor) -> Tensor:
        """(..., S, A): above the rounding of  gain + discount P value - value,  state by state."""
        return noise(self.dynamics, self.discount, gain, value)

    def improved(self, gain: Tensor, choice: Tensor | None = None) -> Plan:
        """The best policies of mean rewards (..., S, A) without a large constant, found from actions (..., S)."""
        return improved(self.dynamics, self.discount, gain, choice)

    def worst(self, reward: Any) -> Plan:
        """The worst policy for each reward of a batch; the value is differentiable as in `optimal`."""
        plan = self.optimal(Gains(-self.mean_reward(reward)))
        return Plan(-plan.value, plan.policy)

    def return_range(self, reward: Any) -> Tensor:
        """(...): rho, the largest J minus the smallest; exactly 0 where it cannot be told from rounding.

        Differentiable in the reward, once. Where it is 0 so is its gradient: rho has a minimum there, and 0 is one
        of the subgradients. Pure potential shaping has such a range. `valuation` proves bounds of it.
        """
        gain = self.mean_reward(reward)
        return self._span(*self.centred(gain), gain)[1]

    def centred(self, gain: Tensor) -> tuple[Tensor, Tensor]:
        """Mean rewards (..., S, A) less what their best policy earns a step, and its actions (..., S).

        A constant changes no regret and no range; taken off, it costs no digits where discounts are near 1.
        """
        level = self.level(gain)
        best = self.improved(gain.detach() - level[..., None, None])
        earned = level + (1 - self.discount) * (best.value @ self.start)
        return gain - earned[..., None, None], best.policy.argmax(-1)

    def _span(self, gain: Tensor, choice: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """(...): the best return of mean rewards that are centred, and the return range.

        Rounding of J is that of each step, and of the reward as it was given, summed along the policy:
        (I - discount P)^-1 noise.
        """
        best, worst = self._solved(gain, choice), self._solved(-gain)
        span = (best.value + worst.value) @ self.start
        with torch.no_grad():
            noises = (self.noise(gain, plan.value) + EPS / 2 * given.abs() for plan in (best, worst))
            rounded = sum(self.solve(p.policy, n) @ self.start for p, n in zip((best, worst), noises, strict=True))
        return best.value @ self.start, torch.where(span <= FLAT * rounded, 0.0, span)

    def regret(self, policy: Tensor, reward: Any, *, normalised: bool = False) -> Tensor:
        """(...): V* - J of a policy, at least 0 but for rounding.

        Differentiable in the reward once, as V* is, and in the policy as often as one likes.

        Args:
            policy: (..., S, A).
            reward: of any of the shapes.
            normalised: as a share of the return range.

        Raises:
            InputError: a share is asked for where the return range is 0, or rounding; see `return_range`.
        """
        given, policy = self.mean_reward(reward), self.checked(policy)
        gain, choice = self.centred(given)
        if not normalised:
            return (self._solved(gain, choice).value - self.solve(policy, gain)) @ self.start
        best, span = self._span(gain, choice, given)
        lost = best - self.solve(policy, gain) @ self.start
        if not (span > 0).all():
            raise InputError(
                "the return range of a reward is 0 up to rounding, every policy returns the same: regret has no"
                " share, leave normalised= out"
            )
        return lost / span

    def soft_optimal(self, reward: Any, temperature: float) -> Plan:
        """The best policy where entropy of the actions is rewarded too, `temperature` a nat.

        Soft policy iteration, pi ~ exp(Q / temperature), whose convergence is quadratic. The value is differentiable
        in the reward three times, and its gradient is the policy's occupancy; the policy is once.
        Source: Geist, Scherrer & Pietquin 2019 (arXiv 1901.11275).
        """
        if not temperature > 0:
            raise InputError(f"temperature = {temperature}: give a number above 0, nats of entropy are paid by it")
        gain = self.mean_reward(reward)
        with torch.no_grad():
            plan = softly_improved(self.dynamics, self.discount, gain, temperature)
        if not _moving(gain):
            return plan
        # A value at a constant policy is right to the first order; a round of Newton's method, which soft policy
        # iteration is, doubles the order of the error.
        value = self.solve(plan.policy, gain + temperature * entropy(plan.policy)[..., None])
        logs = torch.log_softmax(self.backup(gain, value) / temperature, -1)
        paid = log_entropy(logs)[..., None]
        return Plan(self.solve(logs.exp(), gain + temperature * paid), logs.exp())

    def checked(self, policy: Any) -> Tensor:
        """(..., S, A): a policy in float64, each row divided by its sum; single precision misses 1 by 1e-5 at most.

        Raises:
            InputError: another shape, no probabilities.
        """
        return self.chances(policy)[0]

    def chances(self, policy: Any) -> tuple[Tensor, float]:
        """The same, and by how much a chance may be off, relative, as `MDP.rounding`."""
        shape = tuple(numbers(policy, "policy").shape)
        if shape[-2:] != (self.states, self.actions):
            raise InputError(f"policy has shape {shape}: give probabilities (..., {self.states}, {self.actions})")
        return distributions(policy, "policy", POLICY)


def _moving(gain: Tensor) -> bool:
    """Whether gradients in a reward are asked for."""
    return gain.requires_grad and torch.is_grad_enabled()
