"""Finite Markov decision processes: values, occupancies, regret. Float64 throughout.

A policy is a tensor (..., S, A) of probabilities. A reward is (S,) of the state, (..., S, A) of state and
action, or exactly (S, A, S) of the whole step. Leading axes are batches. All is differentiable in both, dense
or sparse, by autograd in reverse and as often as one likes; where more than that holds or less, it is said.

    V = r_pi + discount P_pi V,    J = <start, V> = <occupancy, r>,    regret = V* - J

Source: Puterman 1994, *Markov Decision Processes*, ch. 6.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError, first_line
from thalweg.rl.sparse import factorised, product, row_means

SUM = 1e-9  # by which probabilities may miss 1
TIE = 1e-12  # of the largest value: an action that is better by less is no improvement
ROUNDS = 1000  # of policy iteration


@dataclass(frozen=True, eq=False)
class Plan:
    """Values of a process under a policy that is best, or worst.

    Attributes:
        value: (..., S) discounted sum of rewards from each state on.
        policy: (..., S, A) that has it.
    """

    value: Tensor
    policy: Tensor


@dataclass(frozen=True, eq=False)
class Gains:
    """A batch of mean rewards (..., S, A), said to be one: (S, S, S) could be the reward of whole steps."""

    each: Tensor


@dataclass(frozen=True, eq=False, init=False)
class MDP:
    """A finite Markov decision process without its reward.                 S states, A actions

    Attributes:
        transitions: (S, A, S) dense, or None where it is sparse.
        sparse: (S A, S), the same as rows of state and action, or None where it is dense.
        start: (S,) probabilities.
        discount: in [0, 1).
        actions: A.
    """

    transitions: Tensor | None
    sparse: Any = field(repr=False)
    start: Tensor
    discount: float
    actions: int

    def __init__(self, transitions: Any, start: Any, discount: float) -> None:
        """Check and keep.

        Args:
            transitions: (S, A, S) as array or tensor, dense or sparse, or A sparse scipy matrices (S, S).
            start: (S,) probabilities.
            discount: in [0, 1).

        Raises:
            InputError: shapes that do not fit, rows that do not sum to 1, a discount out of its range.
        """
        dense, rows, actions = _transitions(transitions)
        states = (rows if dense is None else dense).shape[-1]
        first = _probabilities(_numbers(start, "start"), "start")
        if first.shape != (states,):
            raise InputError(f"start has shape {tuple(first.shape)}, the process {states} states: give one for each")
        if not 0 <= discount < 1:
            raise InputError(f"discount = {discount}: give a number in [0, 1)")
        for name, value in {
            "transitions": dense,
            "sparse": rows,
            "start": first,
            "discount": float(discount),
            "actions": actions,
        }.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        kind = "dense" if self.sparse is None else "sparse"
        return f"MDP({self.states} states, {self.actions} actions, {kind}, discount={self.discount:g})"

    @property
    def states(self) -> int:
        """S."""
        return len(self.start)

    def same(self, other: "MDP") -> bool:
        """Whether two are one process, to the last digit."""
        if (self.states, self.actions, self.discount) != (other.states, other.actions, other.discount):
            return False
        if not torch.equal(self.start, other.start):
            return False
        if self.transitions is None or other.transitions is None:
            return self.transitions is other.transitions and (self.sparse != other.sparse).nnz == 0
        return torch.equal(self.transitions, other.transitions)

    @property
    def reachable(self) -> Tensor:
        """(S,) whether a state is reached from the start by any policy."""
        seen = self.start > 0
        while True:
            weight = seen.to(torch.float64)[:, None].expand(-1, self.actions).reshape(-1)
            rows = self.sparse.T if self.transitions is None else self.transitions.reshape(-1, self.states).T
            more = seen | (torch.as_tensor(rows @ (weight.numpy() if self.transitions is None else weight)) > 0)
            if torch.equal(more, seen):
                return seen
            seen = more

    def mean_reward(self, reward: Any) -> Tensor:
        """(..., S, A): a reward of any shape, or `Gains`, as its mean over the next state.

        Raises:
            InputError: a shape that is none of the three, or numbers that are not finite.
        """
        given = _numbers(reward.each if isinstance(reward, Gains) else reward, "reward")
        if not torch.isfinite(given).all():
            raise InputError("reward holds NaN or infinity: give finite numbers")
        size = (self.states, self.actions)
        if given.shape == (self.states,):
            return given[:, None].expand(size)
        if given.shape == (*size, self.states) and not isinstance(reward, Gains):
            if self.transitions is not None:
                return (self.transitions * given).sum(-1)
            return row_means(self.sparse, given.reshape(-1, self.states)).reshape(size)
        if given.ndim >= 2 and given.shape[-2:] == size:
            return given
        raise InputError(
            f"reward has shape {tuple(given.shape)}: give ({self.states},), (..., {size[0]}, {size[1]}) or"
            f" ({size[0]}, {size[1]}, {self.states})"
        )

    def expected(self, value: Tensor) -> Tensor:
        """(..., S, A): the mean of a value (..., S) at the next state."""
        if self.transitions is not None:
            return torch.einsum("sat,...t->...sa", self.transitions, value)
        found = product(self.sparse, value.reshape(-1, self.states))
        return found.reshape(*value.shape[:-1], self.states, self.actions)

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
        batch = torch.broadcast_shapes(policy.shape[:-2], gain.shape[:-2])
        policy, gain = (x.expand(*batch, self.states, self.actions) for x in (policy, gain))
        if self.transitions is None:
            pairs = zip(policy.flatten(0, -3), gain.flatten(0, -3), strict=True) if batch else [(policy, gain)]
            found = [factorised(self.sparse, one, self.discount).solve((one * r).sum(-1)) for one, r in pairs]
            return torch.stack(found).reshape(*batch, self.states)
        moves = torch.einsum("...sa,sat->...st", policy, self.transitions)
        system = torch.eye(self.states, dtype=torch.float64) - self.discount * moves
        return torch.linalg.solve(system, (policy * gain).sum(-1))

    def action_values(self, policy: Tensor, reward: Any) -> Tensor:
        """(..., S, A): the value of an action now and the policy afterwards."""
        gain = self.mean_reward(reward)
        value = self.solve(self.checked(policy), gain)
        return gain + self.discount * self.expected(value)

    def returns(self, policy: Tensor, reward: Any) -> Tensor:
        """(...): J, the expected discounted sum of rewards from the start."""
        return self.evaluate(policy, reward) @ self.start

    def occupancy(self, policy: Tensor) -> Tensor:
        """(..., S, A): expected discounted visits, which sum to 1 / (1 - discount)."""
        policy = self.checked(policy)
        if self.transitions is None:
            batch = policy.shape[:-2]
            flat = policy.reshape(-1, self.states, self.actions)
            visits = [factorised(self.sparse, one, self.discount).solve(self.start, transposed=True) for one in flat]
            return torch.stack(visits).reshape(*batch, self.states, 1) * policy
        moves = torch.einsum("...sa,sat->...st", policy, self.transitions)
        system = torch.eye(self.states, dtype=torch.float64) - self.discount * moves
        return torch.linalg.solve(system.mT, self.start.expand(*moves.shape[:-2], -1))[..., None] * policy

    def optimal(self, reward: Any) -> Plan:
        """The best policy for each reward of a batch, by policy iteration until no action is better.

        The value is piecewise linear in the reward, and differentiable at a constant policy (Danskin): its gradient
        is the policy's occupancy. Where best policies tie this is one of the subgradients.
        Source: Howard 1960; it ends, since each round is strictly better and policies are finitely many.
        """
        return self._best(self.mean_reward(reward))

    def _best(self, gain: Tensor) -> Plan:
        """Of mean rewards."""
        with torch.no_grad():
            plan = self._improved(gain)
        return Plan(self.solve(plan.policy, gain), plan.policy) if _moving(gain) else plan

    def _improved(self, gain: Tensor) -> Plan:
        """Policy iteration."""
        choice = gain.argmax(-1)
        for _ in range(ROUNDS):
            policy = torch.nn.functional.one_hot(choice, self.actions).to(torch.float64)
            value = self.solve(policy, gain)
            values = gain + self.discount * self.expected(value)
            held = values.gather(-1, choice[..., None])[..., 0]
            best = values.max(-1)
            better = best.values > held + TIE * values.abs().amax((-1, -2), keepdim=True)[..., 0]
            if not better.any():
                return Plan(value, policy)
            choice = torch.where(better, best.indices, choice)
        raise InputError(f"policy iteration did not end in {ROUNDS} rounds: rewards of very different sizes")

    def worst(self, reward: Any) -> Plan:
        """The worst policy for each reward of a batch; the value is differentiable as in `optimal`."""
        return self._worst(self.mean_reward(reward))

    def _worst(self, gain: Tensor) -> Plan:
        """Of mean rewards."""
        plan = self._best(-gain)
        return Plan(-plan.value, plan.policy)

    def return_range(self, reward: Any) -> Tensor:
        """(...): rho, the largest J minus the smallest; exactly 0 where it cannot be told from rounding, see `span`.

        Differentiable in the reward, once. Where it is 0 so is its gradient: rho has a minimum there, and 0 is one
        of the subgradients.
        """
        gain = self.mean_reward(reward)
        return self.span(self._best(gain).value, self._worst(gain).value)

    def span(self, best: Tensor, worst: Tensor) -> Tensor:
        """(...): <start, best - worst>, and exactly 0 where that is no more than policy iteration overlooks.

            rho <= 2 TIE max |V| / (1 - discount)  ->  0

        An action that is better by less than TIE |Q| is taken for a tie, each step may lose that much, there are
        1 / (1 - discount) of them, and there are two ends. The solves' own rounding, some eps |V| / (1 - discount),
        is a thousandth of it. Pure potential shaping has such a range.

        Args:
            best: (..., S) values of `optimal`.
            worst: (..., S) values of `worst`, for the same rewards.
        """
        found = (best - worst) @ self.start
        size = torch.maximum(best.detach().abs(), worst.detach().abs()).amax(-1)
        return torch.where(found <= 2 * TIE * size / (1 - self.discount), 0.0, found)

    def regret(self, policy: Tensor, reward: Any, *, normalised: bool = False) -> Tensor:
        """(...): V* - J of a policy, at least 0 but for rounding.

        Differentiable in the reward once, as V* is, and in the policy as often as one likes.

        Args:
            policy: (..., S, A).
            reward: of any of the shapes.
            normalised: as a share of the return range.

        Raises:
            InputError: a share is asked for where the return range is 0, or rounding; see `span`.
        """
        gain = self.mean_reward(reward)
        best = self._best(gain).value
        lost = best @ self.start - self.solve(self.checked(policy), gain) @ self.start
        if not normalised:
            return lost
        span = self.span(best, self._worst(gain).value)
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
            plan = self._softly_improved(gain, temperature)
        if not _moving(gain):
            return plan
        # A value at a constant policy is right to the first order; a round of Newton's method, which soft policy
        # iteration is, doubles the order of the error.
        value = self.solve(plan.policy, gain + temperature * entropy(plan.policy)[..., None])
        logs = torch.log_softmax((gain + self.discount * self.expected(value)) / temperature, -1)
        paid = -(logs.exp() * logs).sum(-1, keepdim=True)
        return Plan(self.solve(logs.exp(), gain + temperature * paid), logs.exp())

    def _softly_improved(self, gain: Tensor, temperature: float) -> Plan:
        """Soft policy iteration."""
        policy = torch.softmax(gain / temperature, -1)
        value = self.solve(policy, gain + temperature * entropy(policy)[..., None])
        for _ in range(ROUNDS):
            values = gain + self.discount * self.expected(value)
            policy = torch.softmax(values / temperature, -1)
            new = self.solve(policy, gain + temperature * entropy(policy)[..., None])
            moved = (new - value).abs().max()
            value = new
            if moved <= 1e-13 * (1 + value.abs().max()):
                return Plan(value, policy)
        raise InputError(f"soft policy iteration did not end in {ROUNDS} rounds: give a higher temperature")

    def checked(self, policy: Any) -> Tensor:
        """(..., S, A): a policy in float64, with rows that sum to 1 as nearly as single precision has them.

        Raises:
            InputError: another shape, no probabilities.
        """
        policy = _numbers(policy, "policy")
        if policy.ndim < 2 or policy.shape[-2:] != (self.states, self.actions):
            raise InputError(
                f"policy has shape {tuple(policy.shape)}: give probabilities (..., {self.states}, {self.actions})"
            )
        return _probabilities(policy, "policy", 1e-5)


def entropy(policy: Tensor) -> Tensor:
    """(..., S): nats, of the actions in each state."""
    return -torch.xlogy(policy, policy).sum(-1)


def _numbers(given: Any, what: str) -> Tensor:
    """In float64 from the first: torch reads a list of Python's numbers in float32, which loses half their digits."""
    try:
        return torch.as_tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # text, rows of different lengths
        raise InputError(f"{what} is no array of numbers: {first_line(error)}: give one, or a tensor") from error


def _probabilities(given: Tensor, what: str, slack: float = SUM) -> Tensor:
    """Refuse what is no distribution along its last axis."""
    if not torch.isfinite(given).all() or (given < 0).any():
        raise InputError(f"{what} holds a number that is no probability: give numbers from 0 to 1")
    sums = given.sum(-1)
    worst = (sums - 1).abs().max()
    if worst > slack:
        wrong = np.unravel_index(int((sums - 1).abs().argmax()), sums.shape)
        where = f" at {', '.join(str(int(i)) for i in wrong)}" if wrong else ""
        raise InputError(f"{what}{where} sums to {sums.flatten()[(sums - 1).abs().argmax()]:.6g}: make it sum to 1")
    return given


def _transitions(given: Any) -> tuple[Tensor | None, Any, int]:
    """Dense (S, A, S) or sparse (S A, S), and A."""
    if isinstance(given, list | tuple) and given and all(sparse.issparse(m) for m in given):
        shapes = {m.shape for m in given}
        if len(shapes) != 1 or len({*next(iter(shapes))}) != 1:
            raise InputError(f"transitions of shapes {sorted(shapes)}: give a square matrix (S, S) for each action")
        states, actions = given[0].shape[0], len(given)
        order = np.arange(states * actions).reshape(actions, states).T.reshape(-1)
        return None, _checked_rows(sparse.vstack([m.tocsr() for m in given]).tocsr()[order], actions), actions
    if isinstance(given, Tensor) and given.layout != torch.strided:
        if given.ndim != 3 or given.shape[0] != given.shape[2]:
            raise InputError(f"transitions have shape {tuple(given.shape)}: give (S, A, S)")
        states, actions = given.shape[:2]
        held = given.to_sparse_coo().coalesce()
        state, action, after = held.indices().numpy()
        entries = (held.values().to(torch.float64).numpy(), (state * actions + action, after))
        return None, _checked_rows(sparse.csr_matrix(entries, shape=(states * actions, states)), actions), actions
    if sparse.issparse(given):
        raise InputError("transitions are one sparse matrix: give a list of A matrices (S, S), one for each action")
    dense = _numbers(given, "transitions")
    if dense.ndim != 3 or dense.shape[0] != dense.shape[2] or 0 in dense.shape:
        raise InputError(f"transitions have shape {tuple(dense.shape)}: give (S, A, S)")
    return _probabilities(dense, "transitions"), None, dense.shape[1]


def _checked_rows(rows: Any, actions: int) -> Any:
    """Sparse rows, each a distribution."""
    sums = np.asarray(rows.sum(1)).reshape(-1)
    if not np.isfinite(rows.data).all() or (rows.data < 0).any():
        raise InputError("transitions hold a number that is no probability: give numbers from 0 to 1")
    wrong = np.abs(sums - 1).argmax()
    if abs(sums[wrong] - 1) > SUM:
        state, action = divmod(int(wrong), actions)
        raise InputError(f"transitions at {state}, {action} sums to {sums[wrong]:.6g}: make it sum to 1")
    return rows


def _moving(gain: Tensor) -> bool:
    """Whether gradients in a reward are asked for."""
    return gain.requires_grad and torch.is_grad_enabled()


__all__ = ["MDP", "Plan", "entropy"]
