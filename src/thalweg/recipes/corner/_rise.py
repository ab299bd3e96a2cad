"""Is lambda higher after the second fall than on the corner's plateau? Over the runs, at one nbeta."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from thalweg.runtime import all_finite, finite
from thalweg.samplers import Settings
from thalweg.store import Survey

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Rise:
    """Lambda at two points of each run.

    Attributes:
        nbeta: of the estimates.
        before: (R) lambda at the end of the plateau, NaN where unhealthy.
        after: (R) at the end of training.
        raw: (R, 2) both, healthy or not.
        verdicts: of all, two a run.
        mean: of after - before over runs with two values; NaN where fewer than two have them.
        interval: of that mean, by Student's t over the runs.
        survey: where they are stored.
    """

    nbeta: float
    before: np.ndarray
    after: np.ndarray
    raw: np.ndarray
    verdicts: list[str]
    mean: float
    interval: tuple[float, float]
    survey: Survey

    @property
    def runs(self) -> int:
        """Runs with two values."""
        return int(np.isfinite(self.after - self.before).sum())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "nbeta": self.nbeta,
            "before": all_finite(self.before),
            "after": all_finite(self.after),
            "raw": self.raw.tolist(),
            "verdicts": self.verdicts,
            "mean": finite(self.mean),
            "interval": all_finite(self.interval),
            "runs": self.runs,
        }


def rise(settings: Settings, found: Survey) -> Rise:
    """Pair the estimates of a survey of two checkpoints a run."""
    assert settings.nbeta is not None
    raw = found.column("llc").reshape(-1, 2)
    before, after = np.where(found.healthy, found.column("llc"), np.nan).reshape(-1, 2).T
    change = (after - before)[np.isfinite(after - before)]
    mean, interval = float("nan"), (float("nan"), float("nan"))
    if len(change) >= 2:
        mean, error = float(change.mean()), float(stats.sem(change))
        half = float(stats.t.ppf(0.5 + LEVEL / 2, len(change) - 1)) * error
        interval = (mean - half, mean + half)
    return Rise(settings.nbeta, before, after, raw, found.verdicts, mean, interval, found)
