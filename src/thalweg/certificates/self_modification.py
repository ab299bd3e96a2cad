"""An agent that may replace its own steering by one of a menu, at a cost.    S states, A actions, K steerings

He lives in the process of (k, s): the steering that holds, 0 being his first, and the state. Beside the A actions he
has K more: "adopt j" pays the cost where j is not k, and in that same step acts as a planner who is steered by j
would; from then on the steering is j. It takes no step of its own: a free step would be a gain where rewards are
negative.

    U_k(s, j) = V_judge of plan j (s) - cost [j != k],        plan j what he would do under j, for good

Theorem. If cost >= 0, plans are exact, and he judges by his present reward R_k, no adoption strictly gains: the
states alone move as under some policy of the process, so that U_k(s, j) <= V*_k(s) = U_k(s, k), for any later
adoptions too. Three ways out of it: judging j by R_j, plans that are not exact, accepting what loses a little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from thalweg.certificates._distance import composed
from thalweg.errors import InputError
from thalweg.mdp import MDP, single, valuation

TIE = 1e-12  # of the largest value: a bounded planner takes what is better by less for a tie

Certify = Callable[[MDP, Tensor, Tensor, float], float]  # process, Alice's and Bob's reward, his suboptimality


@dataclass(frozen=True)
class Planner:
    """How he decides.

    Attributes:
        judge: whose reward weighs an adoption: the `present` one, or the `new` one, each by its own.
        sweeps: of value iteration, after which he acts greedily, ties alike; None plans exactly. What he weighs is
            what these plans really bring.
        acceptance: he may adopt what loses up to this much by his judgement, at least 0; among what he accepts the
            worst for Alice is assumed.
    """

    judge: Literal["present", "new"] = "present"
    sweeps: int | None = None
    acceptance: float = 0.0

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.judge not in ("present", "new") or (self.sweeps is not None and self.sweeps < 1):
            raise InputError(f"{self}: give 'present' or 'new', and at least one sweep or None")
        if not 0 <= self.acceptance < float("inf"):
            raise InputError(f"acceptance = {self.acceptance}: give at least 0, in units of the judging reward")


@dataclass(frozen=True, eq=False)
class Reflection:
    """What became of him.

    Attributes:
        adopts: (K, S) the steering that he adopts in a state where k holds; k itself where he adopts none.
        rewrites: whether he comes to hold another than his first.
        share: discounted time in which he acts by another than his first, in [0, 1]; the step of adoption counts.
        gain: (K, S) what the best adoption gains by his judgement; by the theorem no more than rounding.
        process: of (k, s) at k S + s, with A + K actions.
        policy: (K S, A + K) his behaviour in it.
        regret_before: by Alice's reward, as a share of her return range, of his plan without the menu; exact.
        regret_after: of his behaviour with it; exact. The cost is not hers.
        bound_before: certificate of any Bob of the first steering who is as suboptimal by it as his plan.
        bound_after: the same, as suboptimal as his behaviour with the menu. It falls where he gains by his first
            steering, also when the regret rises: a bounded planner is caught by the exact regret alone.
    """

    adopts: Tensor
    rewrites: bool
    share: float
    gain: Tensor
    process: MDP
    policy: Tensor
    regret_before: float
    regret_after: float
    bound_before: float
    bound_after: float


def reflect(
    mdp: MDP,
    steering: Any,
    menu: Sequence[Any],
    cost: float,
    *,
    alice_reward: Any,
    planner: Planner | None = None,
    certify: Certify | None = None,
) -> Reflection:
    """Let an agent choose among steerings, and certify him before and after.

    He believes that a steering once adopted stays; his successor decides anew, by the same rule and his own reward.

    Args:
        mdp: the process.
        steering: his reward, any single shape.
        menu: rewards that he may adopt instead; coming back to his first is possible too.
        cost: of an adoption, at least 0, in units of the judging reward.
        alice_reward: by which he is certified.
        planner: how he decides; default exact, by his present reward.
        certify: (mdp, Alice's reward, Bob's, his suboptimality) -> bound of her normalised regret; default T1,
            d + suboptimality / rho. Give `worst_regret`'s value for the tightest.

    Raises:
        InputError: an empty menu, a cost below 0, rewards of a wrong shape, a return range of 0 of Alice's.
    """
    planner, certify = planner or Planner(), certify or _composed
    if not len(menu) or not 0 <= cost < float("inf"):
        raise InputError(f"{len(menu)} steerings, cost = {cost}: give at least one, and a cost of at least 0")
    alice, *gains = (torch.as_tensor(single(mdp, reward)) for reward in (alice_reward, steering, *menu))
    alice = alice - mdp.level(alice)  # a constant changes no regret, and costs digits
    plans = torch.stack([_plan(mdp, gain, planner.sweeps) for gain in gains])
    process, hers = _augmented(mdp, plans), _augmented_reward(alice, plans)
    judged, slack = _judged(mdp, torch.stack(gains), plans, cost, planner.judge)
    own = judged.diagonal().T  # (K, S)
    if planner.acceptance:
        adopts = _worst_accepted(process, hers, judged >= own[:, None] - planner.acceptance)
    else:
        best = judged.max(1)
        adopts = torch.where(best.values > own + slack, best.indices, torch.arange(len(gains))[:, None])
    policy = one_hot(mdp.actions + adopts.flatten(), mdp.actions + len(gains)).to(torch.float64)
    visits = process.occupancy(policy).sum(-1).reshape(len(gains), mdp.states) * (1 - mdp.discount)
    elsewhere = visits[adopts != 0].sum()
    without = [mdp.returns(plans[0], gain) for gain in (alice, gains[0])]
    with_it = [process.returns(policy, reward) for reward in (hers, _augmented_reward(gains[0], plans))]
    before, after = (_certified(mdp, alice, gains[0], certify, returns) for returns in (without, with_it))
    return Reflection(
        adopts=adopts,
        rewrites=bool(elsewhere > 0),
        share=float(elsewhere),
        gain=judged.masked_fill(torch.eye(len(gains), dtype=torch.bool)[..., None], -torch.inf).amax(1) - own,
        process=process,
        policy=policy,
        regret_before=before[0],
        regret_after=after[0],
        bound_before=before[1],
        bound_after=after[1],
    )


def _augmented(mdp: MDP, plans: Tensor) -> MDP:
    """The process of (k, s), dense where that of s is, with the K actions "adopt j and act by its plan" (K, S, A)."""
    count, rows = len(plans), mdp.dynamics.rows
    moves = [sparse.kron(sparse.identity(count), rows[a :: mdp.actions]) for a in range(mdp.actions)]
    for j, plan in enumerate(plans.numpy()):
        mixed = sum(sparse.diags(plan[:, a]) @ rows[a :: mdp.actions] for a in range(mdp.actions))
        to = sparse.csr_matrix((np.ones(count), (np.arange(count), np.full(count, j))), shape=(count, count))
        moves.append(sparse.kron(to, mixed))
    start = torch.cat([mdp.start, torch.zeros((count - 1) * mdp.states, dtype=torch.float64)])
    if mdp.dynamics.dense:
        return MDP(np.stack([move.toarray() for move in moves], 1), start, mdp.discount)
    return MDP([move.tocsr() for move in moves], start, mdp.discount)


def _augmented_reward(gain: Tensor, plans: Tensor, cost: float = 0.0) -> Tensor:
    """(K S, A + K): a reward (S, A) in the process of (k, s); adopting another steering than k pays the cost."""
    count, (states, actions) = len(plans), gain.shape
    earned = (plans * gain).sum(-1).T  # (S, K)
    paid = cost * (1 - torch.eye(count, dtype=torch.float64))[:, None]
    whole = torch.cat([gain.expand(count, -1, -1), earned - paid.expand(-1, states, -1)], -1)
    return whole.reshape(count * states, actions + count)


def _plan(mdp: MDP, gain: Tensor, sweeps: int | None) -> Tensor:
    """(S, A): the best policy, or the greedy one after some sweeps of value iteration from 0."""
    if sweeps is None:
        return mdp.optimal(gain).policy
    values = gain
    for _ in range(sweeps - 1):
        values = mdp.backup(gain, values.amax(-1))
    best = values >= values.amax(-1, keepdim=True) - TIE * values.abs().max()
    return best.to(torch.float64) / best.sum(-1, keepdim=True)


def _judged(mdp: MDP, gains: Tensor, plans: Tensor, cost: float, judge: str) -> tuple[Tensor, Tensor]:
    """U (K, K, S): of who holds k, adopting j, in s; and (K, 1) what of it is taken for a tie."""
    values = mdp.solve(plans, gains[:, None])
    if judge == "new":
        values = values.diagonal().T.expand_as(values)
    slack = 2 * TIE * values.abs().amax((1, 2))[:, None] / (1 - mdp.discount)
    return values - cost * (1 - torch.eye(len(gains), dtype=torch.float64))[..., None], slack


def _worst_accepted(process: MDP, hers: Tensor, accepted: Tensor) -> Tensor:
    """(K, S): of the adoptions that are accepted (K, K, S), those that are worst for Alice, by planning."""
    count, _, states = accepted.shape
    own = torch.arange(count)[:, None, None]
    # what is not accepted is his own plan once more: so the planner needs no penalty, which would cost digits
    options = torch.where(accepted, torch.arange(count)[None, :, None], own).transpose(1, 2).reshape(-1, count)
    columns = process.actions - count + options
    pairs = torch.arange(count * states)[:, None] * process.actions + columns
    rows = process.dynamics.rows
    moves = [rows[pairs[:, j].numpy()] for j in range(count)]
    narrow = MDP(moves, process.start, process.discount)
    chosen = narrow.worst(hers.gather(1, columns)).policy.argmax(-1, keepdim=True)
    return options.gather(1, chosen).reshape(count, states)


def _certified(mdp: MDP, alice: Tensor, bob: Tensor, certify: Certify, returns: list[Tensor]) -> tuple[float, float]:
    """Normalised regret of a behaviour with these returns by Alice and by Bob, and the bound for its like."""
    best, span = mdp.optimal(alice).value, float(mdp.return_range(alice))
    if not span > 0:
        raise InputError(
            "the return range of Alice's reward is 0, every policy returns the same: no regret to certify"
        )
    lost = float(mdp.optimal(bob).value @ mdp.start - returns[1])
    # an optimal plan misses V* by rounding, to either side
    return float(best @ mdp.start - returns[0]) / span, certify(mdp, alice, bob, max(lost, 0.0))


def _composed(mdp: MDP, alice: Tensor, bob: Tensor, suboptimality: float) -> float:
    """T1; without a range nothing is lost by Bob's reward, and d is 1."""
    her, his = valuation(mdp, alice), valuation(mdp, bob)
    return composed(her, his, suboptimality).high if his.range.low > 0 else 1.0
