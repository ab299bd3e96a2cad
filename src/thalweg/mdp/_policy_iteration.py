"""Policy iteration, plain and soft, without gradients: the best policies of mean rewards.    S states, A actions

    V = r_pi + discount P_pi V,    pi' greedy for  Q = r + discount P V,    or  pi' ~ exp(Q / temperature)

Source: Howard 1960; it ends, since each round is strictly better and policies are finitely many. Geist, Scherrer &
Pietquin 2019 (arXiv 1901.11275) for the soft one, whose convergence is quadratic.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from thalweg.errors import InputError
from thalweg.mdp._transitions import Transitions
from thalweg.mdp.probabilities import EPS

STEADY = 50  # rounds of policy iteration after which ever larger gains count as ties: rounding must not go round
ROUNDS = 200  # of policy iteration
NEAR, AHEAD = 10, 100  # rounds that look one step ahead, and steps that later ones do: long chains need as many
SMOOTH = 1000  # rounds of soft policy iteration


@dataclass(frozen=True, eq=False)
class Plan:
    """Values of a process under a policy that is best, or worst.

    Attributes:
        value: (..., S) discounted sum of rewards from each state on.
        policy: (..., S, A) that has it.
    """

    value: Tensor
    policy: Tensor


def entropy(policy: Tensor) -> Tensor:
    """(..., S): nats, of the actions in each state."""
    return -torch.xlogy(policy, policy).sum(-1)


def log_entropy(logs: Tensor) -> Tensor:
    """(..., S): the same of log probabilities; its gradients are finite where an action has no chance left."""
    return -(logs.exp() * logs).sum(-1)


def backup(moves: Transitions, discount: float, gain: Tensor, value: Tensor) -> Tensor:
    """(..., S, A): the value of an action now and of a value (..., S) afterwards."""
    return gain + discount * moves.expected(value)


def noise(moves: Transitions, discount: float, gain: Tensor, value: Tensor) -> Tensor:
    """(..., S, A): above the rounding of  gain + discount P value - value,  state by state.

    One of half EPS for each successor and each of the other operations.
    """
    size = backup(moves, discount, gain.abs(), value.abs()) + value.abs()[..., None]
    return (moves.terms + 8) * (EPS / 2) * size


def improved(moves: Transitions, discount: float, gain: Tensor, choice: Tensor | None = None) -> Plan:
    """Policy iteration until no action is better by more than rounding; a large constant in rewards costs digits.

    It begins from actions (..., S), by default those of the largest reward (..., S, A).
    """
    flat = gain.reshape(-1, moves.states, moves.actions)
    choices = (flat.argmax(-1) if choice is None else choice.reshape(-1, moves.states)).clone()
    found, going = torch.zeros_like(flat[..., 0]), torch.arange(len(flat))
    for turn in range(ROUNDS):
        here, held = flat[going], choices[going]
        value = moves.solve(one_hot(held, moves.actions).to(torch.float64), here, discount)
        best, own = _greedy(backup(moves, discount, here, value), held)
        better = best.values > own
        if better.any():
            better = best.values > own + 2 * noise(moves, discount, here, value).amax(-1) * 2.0 ** max(
                0, turn - STEADY
            )
        found[going] = value
        moved = better.any(-1)
        if not moved.any() or turn == ROUNDS - 1:
            break
        following = torch.where(better, best.indices, held)
        choices[going] = _ahead(moves, discount, here, best.values, following) if turn >= NEAR else following
        going = going[moved]
    policy = one_hot(choices, moves.actions).to(torch.float64)
    return Plan(found.reshape(gain.shape[:-1]), policy.reshape(gain.shape))


def softly_improved(moves: Transitions, discount: float, gain: Tensor, temperature: float) -> Plan:
    """Soft policy iteration until no value moves, where entropy is paid `temperature` a nat."""

    def paid(policy: Tensor) -> Tensor:
        return moves.solve(policy, gain + temperature * entropy(policy)[..., None], discount)

    policy = torch.softmax(gain / temperature, -1)
    value = paid(policy)
    for _ in range(SMOOTH):
        policy = torch.softmax(backup(moves, discount, gain, value) / temperature, -1)
        new = paid(policy)
        moved = (new - value).abs().max()
        value = new
        if moved <= 1e-13 * (1 + value.abs().max()):
            return Plan(value, policy)
    raise InputError(f"soft policy iteration did not end in {SMOOTH} rounds: give a higher temperature")


def _ahead(moves: Transitions, discount: float, gain: Tensor, value: Tensor, choice: Tensor) -> Tensor:
    """(B, S): actions that are best some steps on, else those of `choice`: what is found far away comes nearer.

    A value that no backup lowers stays below that of its greedy policy, so that no round loses.
    """
    for _ in range(min(AHEAD, moves.states)):
        best, own = _greedy(backup(moves, discount, gain, value), choice)
        better = best.values > own + 2 * noise(moves, discount, gain, value).amax(-1)
        choice, value = torch.where(better, best.indices, choice), best.values
    return choice


def _greedy(values: Tensor, choice: Tensor) -> tuple[torch.return_types.max, Tensor]:
    """The best action values and actions, and the action values of a choice."""
    return values.max(-1), values.gather(-1, choice[..., None])[..., 0]
