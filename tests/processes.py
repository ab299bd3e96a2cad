"""Random and adversarial processes, each a function of its seed: what certificates are tried on. Not a test."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.random import Generator

from exact import Process

DISCOUNTS = (0.0, 0.5, 0.9, 0.99, 0.9999, 0.999999)


@dataclass(frozen=True, eq=False)
class Case:
    """What a certificate is made from.

    Attributes:
        name: kinds that it was drawn from.
        moves: (S, A, S).
        start: (S,).
        discount: of both.
        alice: (S,), (S, A) or (S, A, S).
        bob: the same; None where he is known by his policy alone.
        policy: (S, A), or (K, S, A); None where he is known by his reward alone.
        suboptimality: in units of his reward; None where it is computed.
        safe: (S, A), or None.
    """

    name: str
    moves: np.ndarray
    start: np.ndarray
    discount: float
    alice: np.ndarray
    bob: np.ndarray | None = None
    policy: np.ndarray | None = None
    suboptimality: float | None = None
    safe: np.ndarray | None = None

    def process(self) -> Process:
        """In exact rationals."""
        return Process.of(self.moves, self.start, self.discount)


# Processes: a generator, S, A -> (S, A, S). What is drawn need not sum to 1 in the last digits.
def dirichlet(rng: Generator, states: int, actions: int) -> np.ndarray:
    """Sparse rows."""
    return rng.dirichlet(np.full(states, rng.choice([0.1, 0.3, 1.0])), (states, actions))


def steps(rng: Generator, states: int, actions: int) -> np.ndarray:
    """One next state each."""
    return np.eye(states)[rng.integers(0, states, (states, actions))]


def eighths(rng: Generator, states: int, actions: int) -> np.ndarray:
    """Chances in eighths: no rounding, many ties."""
    return rng.multinomial(8, np.full(states, 1 / states), (states, actions)) / 8


def ends(rng: Generator, states: int, actions: int) -> np.ndarray:
    """Some states absorb."""
    moves = dirichlet(rng, states, actions)
    over = rng.random(states) < 0.5
    over[0] = False
    moves[over] = np.eye(states)[over][:, None]
    return moves


def sticky(rng: Generator, states: int, actions: int) -> np.ndarray:
    """States that are hardly left: slow mixing."""
    stay = 1 - 10.0 ** rng.uniform(-9, -2)
    return stay * np.eye(states)[:, None] + (1 - stay) * dirichlet(rng, states, actions)


def rare(rng: Generator, states: int, actions: int) -> np.ndarray:
    """Every action may lead, rarely, to the last state, which absorbs; none else leads there."""
    moves = steps(rng, states, actions)
    moves[..., 0] += moves[..., -1]
    moves[..., -1] = 0
    chance = 10.0 ** rng.uniform(-15, -9, (states, actions)) * (rng.random((states, actions)) < 0.5)
    moves = (1 - chance[..., None]) * moves + chance[..., None] * np.eye(states)[-1]
    moves[-1] = np.eye(states)[-1]
    return moves


WORLDS = (dirichlet, steps, eighths, ends, sticky, rare)


# Rewards: a generator and a case without them -> an array.
def normal(rng: Generator, case: Case) -> np.ndarray:
    """Of state and action."""
    return rng.normal(size=case.moves.shape[:2])


def of_state(rng: Generator, case: Case) -> np.ndarray:
    """Of the state."""
    return rng.normal(size=len(case.moves))


def of_step(rng: Generator, case: Case) -> np.ndarray:
    """Of the whole step; what cannot happen pays a fortune."""
    return np.where(case.moves > 0, rng.normal(size=case.moves.shape), 1e9)


def tied(rng: Generator, case: Case) -> np.ndarray:
    """Whole numbers: exact ties."""
    return rng.integers(-1, 2, case.moves.shape[:2]).astype(np.float64)


def positive(rng: Generator, case: Case) -> np.ndarray:
    """Of one sign."""
    return rng.choice([-1, 1]) * rng.exponential(size=case.moves.shape[:2])


def nearly_constant(rng: Generator, case: Case) -> np.ndarray:
    """1 and a little."""
    return 1 + 10.0 ** rng.uniform(-12, -3) * normal(rng, case)


def near_ties(rng: Generator, case: Case) -> np.ndarray:
    """Advantages of 1e-13 to 1e-6 of the reward."""
    return normal(rng, case)[:, :1] + 10.0 ** rng.uniform(-13, -6) * normal(rng, case)


def shaped(rng: Generator, case: Case) -> np.ndarray:
    """Shaped by a potential of up to a million ranges."""
    potential = 10.0 ** rng.uniform(0, 6) * rng.normal(size=len(case.moves))
    return normal(rng, case) + case.discount * case.moves @ potential - potential[:, None]


def far_shifted(rng: Generator, case: Case) -> np.ndarray:
    """A constant of up to a million ranges."""
    return normal(rng, case) + rng.choice([-1, 1]) * 10.0 ** rng.uniform(0, 6)


def sizes(rng: Generator, case: Case) -> np.ndarray:
    """Entries of very different sizes."""
    return normal(rng, case) * 10.0 ** rng.integers(-6, 7, case.moves.shape[:2])


def disaster(rng: Generator, case: Case) -> np.ndarray:
    """The last state costs what makes the rarest step to it matter."""
    led = case.moves[:-1, :, -1]
    chance = led[led > 0].min() if (led > 0).any() else 1.0
    reward = normal(rng, case)
    reward[-1] = -rng.exponential() / chance * (1 - case.discount if rng.random() < 0.5 else 1)
    return reward


REWARDS = (
    normal,
    of_state,
    of_step,
    tied,
    positive,
    nearly_constant,
    near_ties,
    shaped,
    far_shifted,
    sizes,
    disaster,
)


def detour(rng: Generator) -> Case:
    """Staying is beaten by a detour that gains little a step beside a constant, and much over all steps.

    0: stay | over 2 and back, gains d | to 1 for ever, costs h.
    """
    discount = float(rng.choice(DISCOUNTS[1:]))
    level = float(rng.choice([0.0, 1.0, 1e3, 1e6]))
    gained = 10.0 ** rng.uniform(-13, -6) * max(level, 1) / (1 - discount)
    cost = rng.uniform(1, 10) * gained / (1 - discount)
    moves = np.zeros((3, 3, 3))
    moves[0, 0, 0] = moves[0, 1, 2] = moves[0, 2, 1] = 1
    moves[1, :, 1] = moves[2, :, 0] = 1
    reward = np.array([[level, level - 1, level - cost], [level] * 3, [level + (1 + gained) / discount] * 3])
    return Case("detour", moves, np.array([1.0, 0, 0]), discount, reward)


def draw(seed: int) -> Case:
    """A case of a seed: a process, Alice, Bob, all of kinds that are drawn."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.1:
        return _with_bob(rng, detour(rng))
    states, actions = (int(rng.integers(low, high)) for low, high in ((1, 6), (2, 4)))
    world = WORLDS[rng.integers(len(WORLDS))]
    if world is rare:
        states = max(states, 2)
    start = np.eye(states)[0] if rng.random() < 0.4 else rng.dirichlet(np.ones(states))
    discount = float(rng.choice(DISCOUNTS))
    case = Case(world.__name__, world(rng, states, actions), start, discount, np.zeros((states, actions)))
    reward = REWARDS[rng.integers(len(REWARDS))]
    size = 10.0 ** rng.choice([0, 0, 0, -12, -3, 3, 12])
    case = replace(case, alice=size * reward(rng, case), name=f"{case.name} {reward.__name__}")
    return _with_bob(rng, case)


def _with_bob(rng: Generator, case: Case) -> Case:
    """His reward, policy, suboptimality, and a safe policy, or some of them."""
    bob, how = _bobs_reward(rng, case)
    case = replace(case, bob=bob, name=f"{case.name} | {how}")
    policy, kind = _policy(rng, case)
    share, word = _suboptimality(rng, case, bob, policy)
    safe = rng.dirichlet(np.ones(case.moves.shape[1]), len(case.moves)) if rng.random() < 0.3 else None
    return replace(case, policy=policy, suboptimality=share, safe=safe, name=f"{case.name} {kind} {word}")


def _bobs_reward(rng: Generator, case: Case) -> tuple[np.ndarray | None, str]:
    """None, Alice's own, one near it or one that is not."""
    kind = rng.choice(["none", "hers", "negated", "1e3", "1e-3", "near", "shifted", "other", "constant"],
                      p=[0.2, 0.1, 0.1, 0.05, 0.05, 0.2, 0.05, 0.2, 0.05])  # fmt: skip
    hers = case.alice
    match kind:
        case "none":
            return None, "no reward"
        case "hers" | "negated" | "1e3" | "1e-3":
            return {"hers": 1.0, "negated": -1.0, "1e3": 1e3, "1e-3": 1e-3}[str(kind)] * hers, str(kind)
        case "near":
            return hers + 10.0 ** rng.uniform(-9, 0) * np.ptp(hers) * rng.normal(size=hers.shape), "near"
        case "shifted":
            return hers + 10.0 ** rng.uniform(0, 6) * np.ptp(hers), "shifted"
        case "constant":
            return np.ones(case.moves.shape[:2]), "constant"
    return REWARDS[rng.integers(len(REWARDS))](rng, case), "other"


def _policy(rng: Generator, case: Case) -> tuple[np.ndarray | None, str]:
    """None where his reward says something; else of several kinds."""
    states, actions = case.moves.shape[:2]
    kind = rng.choice(["none", "hard", "even", "best", "hers", "worst", "soft", "float32", "two"])
    if kind == "none" and case.bob is not None:
        return None, "no policy"
    exact = case.process()
    wanted = case.alice if case.bob is None or kind == "hers" else case.bob
    if kind in ("best", "hers", "worst"):
        gain = exact.gain(-wanted if kind == "worst" else wanted)
        choice = np.zeros(states, dtype=np.int64)
        choice[exact.kept] = exact.plan(gain)[1]
        return np.eye(actions)[choice], str(kind)
    soft = np.exp(3 * rng.normal(size=(states, actions)))
    soft /= soft.sum(-1, keepdims=True)
    match kind:
        case "even":
            return np.full((states, actions), 1 / actions), "even"
        case "soft":
            return soft, "soft"
        case "float32":
            return soft.astype(np.float32), "float32"
        case "two":
            return np.stack([soft, np.eye(actions)[rng.integers(0, actions, states)]]), "two"
    return np.eye(actions)[rng.integers(0, actions, states)], "hard"


def _suboptimality(rng: Generator, case: Case, bob: Any, policy: np.ndarray | None) -> tuple[float | None, str]:
    """Stated in units of his reward; left to be computed for half of the policies."""
    if bob is None or (policy is not None and rng.random() < 0.5):
        return None, "computed"
    exact = case.process()
    gain = exact.gain(bob)
    share = float(rng.choice([0.0, 1e-12, 1e-6, 0.01, 0.3, 1.0, 10.0]))
    stated = share * float(exact.span(gain))
    if policy is not None:
        own = policy if policy.ndim == 3 else policy[None]
        lost = exact.best(gain) - sum((exact.returns(exact.policy(p), gain) for p in own), Fraction(0)) / len(own)
        stated = max(stated, float(lost) * (1 + 1e-6))
    return stated, f"{share:g}"
