"""Run the check: every case through `estimate_llc` with nothing set but the error asked for, then count."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import Any

import numpy as np

from thalweg.check._cases import CASES
from thalweg.errors import InputError
from thalweg.estimators import Auto, estimate_llc
from thalweg.runtime import cores, one_thread, pool

RTOL = 0.013  # standard error that is asked for, relative
BUDGET = 100_000  # gradients of a chain at most
SMALL = 0.3  # lambda below which a posterior's own spread allows 10 % instead of 6 %


@dataclass(frozen=True)
class Line:
    """What came of one case.

    Attributes:
        name: of the case.
        d: weights.
        llc_true: lambda.
        multiplicity: m.
        finite_n_truth: nbeta E[K] at the estimate's own nbeta, gamma and w*.
        truth_stderr: of it; 0 where exact.
        truth_from: how it is known.
        llc: the estimate, None where unhealthy.
        llc_raw: the number, healthy or not.
        stderr: of the estimate.
        ratio: of the number to the truth.
        verdict: health.
        reasons: why it is unhealthy.
        gamma: that was settled on.
        seconds: wall time of the case.
    """

    name: str
    d: int
    llc_true: float
    multiplicity: int
    finite_n_truth: float
    truth_stderr: float
    truth_from: str
    llc: float | None
    llc_raw: float
    stderr: float
    ratio: float
    verdict: str
    reasons: tuple[str, ...]
    gamma: float
    seconds: float

    @property
    def error(self) -> float:
        """Relative error."""
        return abs(self.ratio - 1)

    @property
    def covered(self) -> bool:
        """Whether the truth lies in the 95 % interval."""
        return abs(self.llc_raw - self.finite_n_truth) <= 1.96 * np.hypot(self.stderr, self.truth_stderr)

    @property
    def allowed(self) -> float:
        """Largest relative error that passes."""
        return 0.10 if self.llc_true < SMALL else 0.06


@dataclass(frozen=True)
class Report:
    """All cases.

    Attributes:
        cases: in the order of the list.
        seconds: wall time of all.
    """

    cases: tuple[Line, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Median error 1 %, each within what it is allowed, 85 % of the intervals cover, all healthy."""
        return (
            self.median <= 0.01
            and all(line.error <= line.allowed and line.verdict == "healthy" for line in self.cases)
            and self.coverage >= 0.85
        )

    @property
    def median(self) -> float:
        """Median relative error."""
        return float(np.median([line.error for line in self.cases]))

    @property
    def coverage(self) -> float:
        """Share of the 95 % intervals that hold the truth."""
        return float(np.mean([line.covered for line in self.cases]))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": "healthy" if self.passed else "unhealthy",
            "median_relative_error": self.median,
            "max_relative_error": max(line.error for line in self.cases),
            "coverage": self.coverage,
            "seconds": round(self.seconds, 1),
            "cases": [asdict(line) for line in self.cases],
        }


def check(
    names: Sequence[str] = (),
    *,
    rtol: float = RTOL,
    budget: int = BUDGET,
    seed: int = 0,
    workers: int | None = None,
    done: Callable[[Line], None] = lambda line: None,
) -> Report:
    """Run the cases.

    Args:
        names: parts of the names of those to run; default all.
        rtol: relative error asked for; the median error of an honest estimate is two thirds of it.
        budget: gradients a chain may take in a case.
        seed: names every random stream.
        workers: processes; default one for each core.
        done: told of each line as soon as it is there.

    Raises:
        InputError: a name that no case has.
    """
    chosen = [case for case in CASES if not names or any(name in case.name for name in names)]
    if not chosen:
        raise InputError(f"no case is called {', '.join(names)!r}: there are {', '.join(c.name for c in CASES)}")
    began = time.monotonic()
    auto = Auto(rtol=rtol, budget=budget, seed=seed)
    lines = []
    with one_thread(), pool(min(workers or cores(), len(chosen))) as hands:
        for line in hands.map(_measure, [case.name for case in chosen], repeat(auto)):
            lines.append(line)
            done(line)
    return Report(tuple(lines), time.monotonic() - began)


def _measure(name: str, auto: Auto) -> Line:
    """One case."""
    case = next(c for c in CASES if c.name == name)
    began = time.monotonic()
    scape = case.make()
    found = estimate_llc(scape, auto, progress=False)
    seconds = time.monotonic() - began
    truth, error = case.truth(found.settings["nbeta"], found.settings["gamma"])
    return Line(
        name=case.name,
        d=scape.layout.width,
        llc_true=float(case.coefficient.llc),
        multiplicity=case.coefficient.multiplicity,
        finite_n_truth=truth,
        truth_stderr=error,
        truth_from=case.how,
        llc=found.raw if found.healthy else None,
        llc_raw=found.raw,
        stderr=found.stderr,
        ratio=found.raw / truth,
        verdict=str(found.verdict),
        reasons=found.reasons,
        gamma=found.settings["gamma"],
        seconds=round(seconds, 2),
    )
