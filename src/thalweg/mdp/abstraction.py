"""Two ontologies: a map of fine states to coarse ones, and what values and certificates survive it.

A map phi is lumpable for a fine process and a coarse one if it commutes with the dynamics: every fine state, pushed
forward, moves as its coarse state does. Then returns, return ranges, d_rho, regret and the worst regret of any Bob
are the same on both sides. Otherwise they differ by at most the mismatch.  S fine states, B coarse ones, A actions

Source: Givan, Dean & Greig 2003 (bisimulation); Even-Dar & Mansour 2003 (approximate).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.mdp._rows import from_rows
from thalweg.mdp.model_error import AbstractionError, LargestError, Pushed
from thalweg.mdp.occupancy import single_gain
from thalweg.mdp.process import MDP, Gains
from thalweg.mdp.valuation import valuation

SAME = 1e-12  # of the largest reward: states that differ by less are not told apart
STARTS = 1e-9  # by which two starts may differ, as probabilities may miss 1


@dataclass(frozen=True, eq=False, init=False)
class Abstraction:
    """A map of fine states to coarse ones; actions are the same.

    Attributes:
        map: (S,) the coarse state of each fine one.
        states: B.
    """

    map: Tensor
    states: int

    def __init__(self, map: Any, states: int | None = None) -> None:
        """Check and keep.

        Args:
            map: (S,) integers in [0, B).
            states: B; default the largest of them and one.

        Raises:
            InputError: a map that is no list of integers, or leaves the coarse states.
        """
        given = torch.as_tensor(map)
        if given.ndim != 1 or not len(given) or given.is_floating_point() or given.dtype == torch.bool:
            raise InputError(
                f"map has shape {tuple(given.shape)} and type {given.dtype}: give an integer a fine state"
            )
        count = int(given.max()) + 1 if states is None else int(states)
        wrong = torch.nonzero((given < 0) | (given >= count))[:, 0]
        if len(wrong):
            at = int(wrong[0])
            raise InputError(
                f"map sends fine state {at} to {int(given[at])}: give a coarse state in 0 .. {count - 1}"
            )
        object.__setattr__(self, "map", given.long())
        object.__setattr__(self, "states", count)

    def __repr__(self) -> str:
        return f"Abstraction({len(self.map)} states to {self.states})"

    def pull_back(self, reward: Any) -> Any:
        """A coarse reward, on fine states: R(phi(s), a, phi(s')).

        Args:
            reward: (B,), (..., B, A) or (B, A, B), or `Gains`.

        Returns:
            (S,), (..., S, A) or (S, A, S), or `Gains`.
        """
        if isinstance(reward, Gains):
            return Gains(self.pull_back_policy(reward.each))
        given = torch.as_tensor(reward, dtype=torch.float64)
        if given.shape == (self.states,):
            return given[self.map]
        if given.ndim == 3 and given.shape[0] == given.shape[2] == self.states:
            return given[self.map][..., self.map]
        if given.ndim < 2 or given.shape[-2] != self.states:
            raise InputError(
                f"reward has shape {tuple(given.shape)}: give ({self.states},), (..., {self.states}, A)"
                f" or ({self.states}, A, {self.states})"
            )
        return given[..., self.map, :]

    def pull_back_policy(self, policy: Any) -> Tensor:
        """(..., S, A): the policy (..., B, A) that sees coarse states alone."""
        given = torch.as_tensor(policy, dtype=torch.float64)
        if given.ndim < 2 or given.shape[-2] != self.states:
            raise InputError(f"policy has shape {tuple(given.shape)}: give probabilities (..., {self.states}, A)")
        return given[..., self.map, :]

    def push_forward(self, fine: MDP, reward: Any, *, widen: bool = False) -> Pushed:
        """A fine reward, on coarse states.

        Args:
            fine: the process on fine states, for the mean over next states.
            reward: (S,), (S, A) or (S, A, S).
            widen: where the map merges states that the reward tells apart, take the middle and say the error; it must
                enter the certificate, see `model_error`. Otherwise that is refused.

        Raises:
            InputError: states told apart are merged, by name; a block without states; shapes that do not fit.
        """
        self._fits(fine)
        self._full()
        gain = single_gain(fine, reward)
        high, low = (self._extreme(gain, how) for how in ("amax", "amin"))
        spread = high - low
        if not widen and bool((spread > SAME * gain.abs().max()).any()):
            block, action = divmod(int(spread.argmax()), fine.actions)
            inside = torch.nonzero(self.map == block)[:, 0]
            one, other = (int(inside[at(gain[inside, action])]) for at in (torch.argmax, torch.argmin))
            raise InputError(
                f"the map merges fine states {one} and {other} into {block}, whose rewards {gain[one, action]:.6g}"
                f" and {gain[other, action]:.6g} of action {action} differ: refine the map, or pass widen=True"
            )
        return Pushed((high + low) / 2, float(spread.max()) / 2)

    def push_forward_process(self, fine: MDP, weights: Any = None) -> MDP:
        """The coarse process in which a block moves as the weighted mean of its fine states.

        Args:
            fine: the process on fine states.
            weights: (S,) above 0, made to sum to 1 in each block; default alike.

        Raises:
            InputError: weights of another shape or not above 0, a block without states.
        """
        self._fits(fine)
        self._full()
        given = torch.as_tensor(torch.ones(fine.states) if weights is None else weights, dtype=torch.float64)
        if given.shape != (fine.states,) or not (torch.isfinite(given) & (given > 0)).all():
            raise InputError(f"weights of shape {tuple(given.shape)}: give {fine.states} numbers above 0")
        sums = torch.zeros(self.states, dtype=torch.float64).index_add(0, self.map, given)
        mean = sparse.csr_matrix(self._member().multiply((given / sums[self.map]).numpy()[:, None])).T
        rows = sparse.kron(mean, sparse.identity(fine.actions), format="csr") @ self._pushed_rows(fine)
        return from_rows(rows.tocsr(), self._pushed_start(fine), fine.discount, dense=fine.dynamics.dense)

    def transition_error(self, fine: MDP, coarse: MDP) -> LargestError:
        """Whether the map commutes with the dynamics: eps_tau, at which fine state and action; 0 if lumpable.

        eps_tau = max_{s, a} sum_b | sum_{s' in b} tau(s'|s, a) - tau_coarse(b|phi(s), a) |

        All fine states count, those that no policy reaches too.

        Raises:
            InputError: other actions, another discount, or another start, by name.
        """
        self._agree(fine, coarse)
        pairs = (self.map[:, None] * fine.actions + torch.arange(fine.actions)).reshape(-1).numpy()
        apart = abs(self._pushed_rows(fine) - coarse.dynamics.rows[pairs])
        return _largest(torch.as_tensor(np.asarray(apart.sum(1))).reshape(-1, fine.actions))

    def reward_error(self, fine: MDP, fine_reward: Any, coarse: MDP, coarse_reward: Any) -> LargestError:
        """eps_R = max_{s, a} | R(s, a) - R_coarse(phi(s), a) |, of mean rewards, and where."""
        gain = single_gain(fine, fine_reward, "fine_reward")
        return _largest((gain - single_gain(coarse, coarse_reward, "coarse_reward")[self.map]).abs())

    def model_error(
        self, fine: MDP, fine_reward: Any, coarse: MDP, coarse_reward: Any, policy: Any = None
    ) -> AbstractionError:
        """How far regret on the fine states may exceed regret on the coarse ones.

        With V coarse values and e = V_fine - V o phi, e(s) is the mean over actions of R - R_coarse, of
        discount (phi tau - tau_coarse) V, at most eps_tau span(V) / 2 since the rows differ by a sum of 0, and of
        discount e(s'). So the spans are those of coarse values: of V* and of the policy's.

        Args:
            fine: the process on fine states.
            fine_reward: the judge's, on them.
            coarse: the process on coarse states.
            coarse_reward: the judge's, on them.
            policy: (B, A) whose regret is in question. Default: any policy at all, on fine states too, with
                span max V* - min V_worst, which is what a certificate of any Bob, or of the return range, needs.

        Raises:
            InputError: processes that differ in actions, discount or start, shapes that do not fit.
        """
        moved = self.transition_error(fine, coarse).size
        paid = self.reward_error(fine, fine_reward, coarse, coarse_reward).size
        gain = single_gain(coarse, coarse_reward)
        known = valuation(coarse, gain, whole=True)
        return AbstractionError(paid, moved, known.span(policy) * known.reward.unit, fine.discount)

    def _agree(self, fine: MDP, coarse: MDP) -> None:
        """Refuse two processes that are not of one game."""
        self._fits(fine)
        if coarse.states != self.states or coarse.actions != fine.actions:
            raise InputError(
                f"the coarse process has {coarse.states} states and {coarse.actions} actions, the map {self.states}"
                f" and the fine process {fine.actions}: they must be the same"
            )
        if coarse.discount != fine.discount:
            raise InputError(
                f"discounts {fine.discount} (fine) and {coarse.discount} (coarse): they must be the same"
            )
        start = self._pushed_start(fine)
        at = int((start - coarse.start).abs().argmax())
        if (start - coarse.start).abs().sum() > STARTS:
            raise InputError(
                f"the fine process starts in block {at} with probability {start[at]:.6g}, the coarse one with"
                f" {coarse.start[at]:.6g}: they must be the same"
            )

    def _fits(self, fine: MDP) -> None:
        """Refuse a process of another number of states."""
        if fine.states != len(self.map):
            raise InputError(f"the fine process has {fine.states} states, the map {len(self.map)}: give one for each")

    def _full(self) -> None:
        """Refuse a coarse state without fine ones."""
        empty = torch.nonzero(torch.bincount(self.map, minlength=self.states) == 0)[:, 0]
        if len(empty):
            raise InputError(
                f"no fine state is mapped to coarse state {int(empty[0])}: nothing to push forward there"
            )

    def _extreme(self, gain: Tensor, how: str) -> Tensor:
        """(B, A): the largest or smallest of each block."""
        index = self.map[:, None].expand_as(gain)
        empty = torch.zeros(self.states, gain.shape[1], dtype=torch.float64)
        return empty.scatter_reduce(0, index, gain, how, include_self=False)

    def _member(self) -> Any:
        """(S, B) in CSR: 1 where a fine state is in a block."""
        count = len(self.map)
        return sparse.csr_matrix((np.ones(count), (np.arange(count), self.map.numpy())), shape=(count, self.states))

    def _pushed_rows(self, fine: MDP) -> Any:
        """(S A, B): fine rows, as chances of blocks."""
        return fine.dynamics.rows @ self._member()

    def _pushed_start(self, fine: MDP) -> Tensor:
        """(B,): the start, as chances of blocks."""
        return torch.zeros(self.states, dtype=torch.float64).index_add(0, self.map, fine.start)


def _largest(apart: Tensor) -> LargestError:
    """The largest of (S, A), and where."""
    state, action = divmod(int(apart.argmax()), apart.shape[1])
    return LargestError(float(apart[state, action]), state, action)
