"""The records behind the waist: Trace, what a sampler saw; Estimate, what it means."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from thalweg.results import Result
from thalweg.runtime import finite
from thalweg.types import Verdict


@dataclass(frozen=True)
class Relaxation:
    """How the point w_r was found from the checkpoint w*, and how it lies to it.

    Attributes:
        distance: |t (w_r - w*)| sqrt(gamma/D), D open weights: 1 is as far as the localization alone lets draws go.
        nats_gained: nbeta (L_n(w*) - L_n(w_r)).
        gradients: of the full data that the descent took.
        loss: L_n(w*), nats per sample.
        weight_norm: of w*.
        gradient_norm: of L_n at w*, over open directions.
        reason: why no minimum was reached; empty where one was.
    """

    distance: float
    nats_gained: float
    gradients: int
    loss: float
    weight_norm: float
    gradient_norm: float
    reason: str = ""


@dataclass(frozen=True)
class Trace:
    """Losses of every draw of the chains of one checkpoint.      C chains, N draws

    Attributes:
        loss: (C, N) nats per sample, on each draw's own batch; of `tilted` and `relaxed` points without its linear
            part g . (w - w*), and so is the excess. Of `relaxed` ones w* is w_r in all that follows.
        excess: (C, N) the same minus the loss of w* on the same batch; its mean over batches is
            L_n(w) - L_n(w*), without the noise that both share.
        burn_in_loss: (C, N0), apart; it never enters an estimate.
        burn_in_excess: (C, N0).
        baseline: L_n(w*) over the full data, before any step.
        slope: (C, N) g . (w - w*), nats per sample, g the gradient of the full data at w*; zero at a minimum, and
            where it is taken off.
        away: (C, N) |t (w - w*)|^2, in squared weights; None where it was not kept.
        doubt: why w* is no minimum whatever the draws say; empty where nothing is known.
        relaxation: how w_r was found; None where w* itself is sampled.
    """

    loss: np.ndarray
    excess: np.ndarray
    burn_in_loss: np.ndarray
    burn_in_excess: np.ndarray
    baseline: float
    slope: np.ndarray
    doubt: str = ""
    relaxation: Relaxation | None = None
    away: np.ndarray | None = None


@dataclass(frozen=True)
class Estimate(Result):
    """A number with its error, or a reason why there is none.

    Attributes:
        raw: the number, healthy or not.
        stderr: Monte Carlo standard error of `raw`, in its unit.
        rhat: split R-hat of the excess loss trace; healthy below 1.05.
        ess: effective sample size, draws; healthy from 100.
        verdict: health.
        reasons: a sentence for each check that failed, with its number and its cut.
        settings: what the estimate was made with.
        choices: a sentence for each choice that the estimate made by itself.
        trace: what it was computed from, where it was kept.
    """

    raw: float
    stderr: float
    rhat: float
    ess: float
    verdict: Verdict
    reasons: tuple[str, ...]
    settings: dict[str, Any] = field(repr=False)
    choices: tuple[str, ...] = field(default=(), repr=False)
    trace: Trace | None = field(default=None, repr=False, compare=False)
    refusal: ClassVar[str] = "the estimate is {0.verdict}: {1}; .raw holds the number"

    @property
    def healthy(self) -> bool:
        """Whether there is a value."""
        return self.verdict is Verdict.HEALTHY

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `value` is None where unhealthy, and so is every number that is not finite."""
        numbers = {"stderr": self.stderr, "rhat": self.rhat, "ess": self.ess}
        return super().to_dict() | {
            **{name: finite(number) for name, number in numbers.items()},
            "verdict": str(self.verdict),
            "choices": list(self.choices),
            "settings": self.settings,
        }
