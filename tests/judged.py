"""Certificates of known rewards, held to the truth: not below it, and above it by the printed slack. Not a test."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch

import exact
import thalweg as tw
from processes import Case
from thalweg.certificates import Bob, Certificate, KnownReward, certify

QUANTITIES = ("exact", "per_start", "beside_safe", "lp", "t1")
SAID = 1e-6  # a slack above it is said in words
OPEN = 64  # times what the digits of the input leave open: a range below it may be refused
Truth = dict[str, Fraction | None]


def truth(case: Case) -> Truth:
    """Every quantity of a certificate in exact rationals; `alice` and `bob` are the ranges of their rewards.

    `safe` is whether the safe policy's own loss is more than what the digits of the input leave open; where it is
    not, there may be no number beside it. `kept` is 0 where Bob's policy breaks his stated suboptimality, which
    single precision may bring about: then `lp` and `t1` are those of a Bob who is not this one, and are raised to
    `exact`.
    """
    process = case.process()
    alice = process.gain(case.alice)
    found: Truth = {"alice": process.span(alice)}
    bob = None if case.bob is None else process.gain(case.bob)
    lost = None
    if bob is not None:
        found["bob"] = process.span(bob)
    if not found["alice"]:
        return found
    best = process.plan(alice)[0]
    if case.policy is not None:
        several = [process.policy(one) for one in (case.policy if case.policy.ndim == 3 else case.policy[None])]
        each = [process.values(one, alice) for one in several]
        less = [v - sum(of, Fraction(0)) / len(several) for v, *of in zip(best, *each, strict=True)]
        found["exact"] = process.first(less) / found["alice"]
        found["per_start"] = max(x for x, p in zip(less, process.start, strict=True) if p) / found["alice"]
        if case.safe is not None:
            safe = process.first(best) - process.returns(process.policy(case.safe), alice)
            found["beside_safe"] = process.first(less) / safe if safe else None
            found["safe"] = Fraction(safe > OPEN * left_open(case, case.alice))
        if bob is not None:
            lost = process.best(bob) - sum((process.returns(one, bob) for one in several), Fraction(0)) / len(several)
    if bob is not None:
        allowed = lost if case.suboptimality is None else Fraction(case.suboptimality)
        found["suboptimality"], found["kept"] = allowed, Fraction(lost is None or lost <= allowed)
        found["lp"] = exact.worst_regret(process, alice, bob, allowed) / found["alice"]
        found["t1"] = process.distance(alice, bob) + allowed / found["bob"] if found["bob"] else None
    return found


def left_open(case: Case, given: np.ndarray) -> Fraction:
    """What half a unit in the last place of every number that is given may change a return by, to the first order."""
    process = case.process()
    gain = process.gain(given)
    largest = max(abs(x) for of in gain for x in of)
    spread = max(process.plan(gain)[0]) + max(process.plan(exact.scaled(gain, -1))[0])
    arrays = [x for x in (given, case.moves, case.start, case.policy, case.safe) if x is not None]
    half = max(Fraction(float(np.finfo(x.dtype).eps)) / 2 for x in arrays)
    return half * (largest + spread) / (1 - process.discount)


def process_of(case: Case, thin: bool = False) -> tw.MDP:
    """Dense, or of sparse matrices."""
    moves = [sparse.csr_matrix(case.moves[:, a]) for a in range(case.moves.shape[1])] if thin else case.moves
    return tw.MDP(moves, case.start, case.discount)


def certified(case: Case, thin: bool = False) -> Certificate:
    """By the public door."""
    policy, safe = (None if x is None else torch.as_tensor(x) for x in (case.policy, case.safe))
    bob = Bob(policy=policy, reward=case.bob, suboptimality=case.suboptimality)
    return certify(KnownReward(case.alice), bob, process_of(case, thin), safe=safe)


@dataclass
class Docket:
    """What was found of many cases.

    Attributes:
        faults: in words, one each.
        counts: of what came of each case: issued, degenerate (a range of 0), unresolved, refused; of slacks said.
    """

    faults: list[str] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)

    def hear(
        self, where: str, case: Case, true: Truth, *more: Truth, make: Callable[[Case], Any] = certified
    ) -> Certificate | None:
        """Certify a case, and hold what is issued to its truth, and to the truths of others for whom it must hold."""
        degenerate = not true["alice"] or ("bob" in true and not true["bob"])
        try:
            found = make(case)
        except tw.InputError as error:
            kind = "degenerate" if degenerate else "unresolved" if unresolved(case, true) else "refused"
            self.counts[kind] += 1
            if kind == "refused" or "\n" in str(error):
                self.faults.append(f"{where}: refused, {error}")
            return None
        except Exception as error:
            self.faults.append(f"{where}: escapes, {type(error).__name__}: {error}")
            return None
        if degenerate:
            self.faults.append(f"{where}: a range of 0 has a certificate")
            return None
        if not found.issued:
            self.faults.append(f"{where}: {found.summary}")
            return None
        self.counts["issued"] += 1
        for one in (true, *({**other, "safe": true.get("safe", Fraction(1))} for other in more)):
            self.faults += [f"{where}: {fault}" for fault in faults(found, one)]
        words = " ".join([found.summary, *(a.words for a in found.assumptions)])
        if found.slack > SAID:
            self.counts["said"] += 1
            if "rounding" not in words:
                self.faults.append(f"{where}: a slack of {found.slack:.2g} is not said")
        return found


def unresolved(case: Case, true: Truth) -> bool:
    """Whether the digits of the input leave open what a range is, Alice's or Bob's."""
    ranges = [(case.alice, true["alice"])] + ([(case.bob, true["bob"])] if "bob" in true else [])
    return any(size <= OPEN * left_open(case, reward) for reward, size in ranges)


def faults(found: Certificate, true: Truth) -> list[str]:
    """What is wrong with a certificate, in words."""
    wrong = []
    for name in QUANTITIES:
        issued, right = getattr(found, name), true.get(name)
        if issued is None and name == "beside_safe" and not true.get("safe", Fraction(1)):
            continue
        if (issued is None) != (right is None):
            wrong.append(f"{name} is {issued}, the truth {None if right is None else float(right)}")
        if issued is None or right is None or issued == np.inf:
            continue
        over = Fraction(issued) - right
        if over < 0:
            wrong.append(f"FALSE {name}: {issued!r} is {float(-over):.2g} below the truth {float(right)!r}")
        elif name not in found.slacks:
            wrong.append(f"{name} has no slack")
        elif over > Fraction(found.slacks[name]) and (true.get("kept", 1) or name not in ("lp", "t1")):
            wrong.append(
                f"{name}: {issued!r} is {float(over):.2g} above the truth, its slack {found.slacks[name]:.2g}"
            )
    return wrong
