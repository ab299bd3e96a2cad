"""The same case told otherwise: no truth changes by it, to the last digit. Not a test."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator

from processes import Case

FAR = (0.0, -1e9, 1e9, 1e100, -1e290)  # what a state pays that nobody reaches, in units of the largest reward
BITS = 24  # of a reward's range that are kept where a constant is added: the sum is exact


def constant(rng: Generator, case: Case) -> tuple[Case, Case]:
    """A constant of about a million ranges in every state and action, ends included."""
    kept = replace(case, alice=_rounded(case.alice), bob=None if case.bob is None else _rounded(case.bob))
    kept = kept if case.policy is None else replace(kept, suboptimality=None)  # rounding changes what he loses
    sign = float(rng.choice([-1, 1]))
    return kept, replace(
        kept, alice=_added(kept.alice, sign), bob=None if kept.bob is None else _added(kept.bob, sign)
    )


def scale(rng: Generator, case: Case) -> tuple[Case, Case]:
    """Both rewards in other units: 2^-40 to 2^40, exact."""
    hers, his = (2.0 ** int(rng.integers(-40, 41)) for _ in range(2))
    bob = None if case.bob is None else case.bob * his
    stated = None if case.suboptimality is None else case.suboptimality * his
    return case, replace(case, alice=case.alice * hers, bob=bob, suboptimality=stated)


def order(rng: Generator, case: Case) -> tuple[Case, Case]:
    """States and actions in another order."""
    states, actions = (rng.permutation(n) for n in case.moves.shape[:2])
    return case, _taken(case, states, actions, 1.0, np.ones(len(states)))


def copied_state(rng: Generator, case: Case) -> tuple[Case, Case]:
    """A state twice, each copy reached with half of its chance."""
    count = len(case.moves)
    twice = int(rng.integers(count))
    states = np.append(np.arange(count), twice)
    return case, _taken(case, states, np.arange(case.moves.shape[1]), 1.0, np.where(states == twice, 0.5, 1.0))


def copied_action(rng: Generator, case: Case) -> tuple[Case, Case]:
    """An action twice, each copy taken with half of its chance."""
    count = case.moves.shape[1]
    twice = int(rng.integers(count))
    actions = np.append(np.arange(count), twice)
    halves = np.where(actions == twice, 0.5, 1.0)
    return case, _taken(case, np.arange(len(case.moves)), actions, halves, np.ones(len(case.moves)))


def unreachable(rng: Generator, case: Case) -> tuple[Case, Case]:
    """States that nobody reaches, which pay anything and lead anywhere."""
    count, actions = case.moves.shape[:2]
    more = int(rng.integers(1, 3))
    moves = np.zeros((count + more, actions, count + more))
    moves[:count, :, :count] = case.moves
    moves[count:] = rng.dirichlet(np.ones(count + more), (more, actions))
    far = float(rng.choice(FAR))

    def grown(reward: np.ndarray) -> np.ndarray:
        paid = np.full([count + more, *([actions] if reward.ndim > 1 else []), *([count + more] * (reward.ndim > 2))],
                       far * max(1.0, float(np.abs(reward).max()) if abs(far) < 1e100 else 1.0))  # fmt: skip
        paid[tuple(slice(n) for n in reward.shape)] = reward
        return paid

    def even(policy: np.ndarray | None) -> np.ndarray | None:
        if policy is None:
            return None
        rest = np.full((*policy.shape[:-2], more, actions), 1 / actions, policy.dtype)
        return np.concatenate([policy, rest], -2)

    return case, replace(
        case,
        moves=moves,
        start=np.append(case.start, np.zeros(more)),
        alice=grown(case.alice),
        bob=None if case.bob is None else grown(case.bob),
        policy=even(case.policy),
        safe=even(case.safe),
    )


VARIANTS = (constant, scale, order, copied_state, copied_action, unreachable)


def single_precision(rng: Generator, case: Case) -> Case:
    """Some of the arrays in float32: each entry is within half a unit in its last place of what it was."""
    names = [name for name in ("moves", "start", "alice", "bob", "policy", "safe") if rng.random() < 0.5]
    given = {name: getattr(case, name) for name in names or ["alice"]}
    return replace(case, **{name: None if x is None else x.astype(np.float32) for name, x in given.items()})


def _taken(
    case: Case, states: np.ndarray, actions: np.ndarray, per_action: np.ndarray | float, per_state: np.ndarray
) -> Case:
    """States and actions by their numbers, chances of actions and of states times a factor each."""

    def reward(given: np.ndarray | None) -> np.ndarray | None:
        if given is None or given.ndim == 1:
            return None if given is None else given[states]
        return given[states][:, actions] if given.ndim == 2 else given[states][:, actions][..., states]

    def policy(given: np.ndarray | None) -> np.ndarray | None:
        return None if given is None else given[..., states, :][..., actions] * np.asarray(per_action, given.dtype)

    return replace(
        case,
        moves=case.moves[states][:, actions][..., states] * per_state.astype(case.moves.dtype),
        start=case.start[states] * per_state,
        alice=reward(case.alice),
        bob=reward(case.bob),
        policy=policy(case.policy),
        safe=policy(case.safe),
    )


def _rounded(reward: np.ndarray) -> np.ndarray:
    """To multiples of a power of two, some 2^-24 of its range."""
    unit = 2.0 ** (np.ceil(np.log2(np.ptp(reward) or 1.0)) - BITS)
    return np.round(reward / unit) * unit


def _added(reward: np.ndarray, sign: float) -> np.ndarray:
    """Plus the largest power of two, up to 2^20 ranges, that adds without rounding."""
    constant = sign * 2.0 ** (np.ceil(np.log2(np.ptp(reward) or 1.0)) + 20)
    while not ((reward + constant) - constant == reward).all():
        constant /= 2
    return reward + constant
