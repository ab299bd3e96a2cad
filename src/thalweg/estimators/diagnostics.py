"""Is a trace fit to be averaged? Each check has one number and one cut, and both are reported.

Many short chains, half of which started wide, are judged by what lies between chains: they are independent, so the
spread of their means is the error whatever their correlation in time, and what a shared start hides shows as a
difference between the two halves (the bracket). Few long chains that all started at w* are judged by split R-hat and
effective size: of their means there are too few. Source of the bracket: after Gelman & Rubin 1992, section 2, who ask
for starts wider than the target.

Everything here reads the *excess*: the loss of a draw minus the loss of w* on the same batch. Batch
noise, common to both, would hide that chains disagree. What is left of it would put single draws
below L(w*), so that check reads means of blocks of draws.
"""

from dataclasses import dataclass

import numpy as np
from arviz_stats.base.array import array_stats
from scipy.stats import t as student

from thalweg.types import Verdict

BRACKET_CUT, BRACKET_SIZE = 3.0, 0.05  # standard errors between chains from w* and from wide ...; share of the mean
LOOSE_CUT = 0.25  # error of a bracket, share of the mean, beyond which nothing is known
RHAT_CUT = 1.05  # of split R-hat, above which chains are not stationary
ESS_CUT = 100.0  # draws, below which there are too few
SHARE_CUT = 0.05  # of block means significantly below L(w*)
BELOW = 3.0  # standard errors of a block mean
DRIFT_CUT = 4.0  # standard errors between the means of the two halves ...
DRIFT_SIZE = 0.01  # ... and at least this share of the mean
BLOCKS = 50  # block means of each chain
LUMPS = 64  # block means of each chain, for errors
TILT_CUT, TILT = 0.1, 4.0  # share of the mean that the gradient at w* takes away; standard errors

OTHERWISE = "train it further, or take another kind of point: restrict(kind='relaxed'), --kind relaxed"
LONGER = "where settings are found, a larger budget"
NORMAL = 1.96  # the 97.5 % point


@dataclass(frozen=True)
class Health:
    """What was found.

    Attributes:
        mean: of the excess over all draws, nats.
        stderr: Monte Carlo standard error of the mean, nats.
        ess: effective sample size of the excess, draws.
        rhat: split R-hat of the excess.
        share_below: share of block means significantly below zero, that is below L(w*).
        drift: distance between the means of the two halves, in standard errors.
        apart: between the means of chains that started wide and at w*, in standard errors; 0 where all started alike.
        verdict: the first check that failed, in the order of `Verdict`.
        reasons: a sentence for each check that failed.
    """

    mean: float
    stderr: float
    ess: float
    rhat: float
    share_below: float
    drift: float
    apart: float
    verdict: Verdict
    reasons: tuple[str, ...]


def diagnose(
    excess: np.ndarray, burn_in: np.ndarray, slope: np.ndarray | None = None, wide: np.ndarray | None = None
) -> Health:
    """Check the trace of one checkpoint.

    Args:
        excess: (C, N) of the draws, nats.
        burn_in: (C, N0) before them; only looked at for numbers that are not finite.
        slope: (C, N) g . (w - w*) of the draws, nats; zero at a minimum, and where it is not given.
        wide: (C,) whether a chain started wider than the posterior; the others started at w*. Where both are there,
            they must agree, and the error covers what is between them.

    Returns:
        Mean and error over all draws, and the verdict. Nothing is averaged around a lost chain.
    """
    excess = np.asarray(excess, dtype=np.float64)
    lost = int((~(np.isfinite(excess).all(1) & np.isfinite(burn_in).all(1))).sum())
    if lost:
        nan = float("nan")
        reason = (
            f"{lost} of {len(excess)} chains left the finite numbers: take a smaller step_size, or a larger gamma"
        )
        return Health(nan, nan, nan, nan, nan, nan, nan, Verdict.DIVERGED, (reason,))
    bracket = None if wide is None else _bracket(excess, wide)
    ess, stderr = precision(excess) if bracket is None else bracket.precision(excess)
    health = {
        "mean": float(excess.mean()),
        "stderr": stderr,
        "ess": ess,
        "rhat": split_rhat(excess),
        "share_below": _share_below(excess),
        "drift": _drift(excess) if bracket is None else _trend(excess),
    }
    found = [
        *_tilted(np.zeros((1, 1)) if slope is None else slope, excess.mean()),
        *_found(excess, bracket, **health),
    ]
    verdict = found[0][0] if found else Verdict.HEALTHY
    return Health(
        **health,
        apart=0.0 if bracket is None else bracket.score,
        verdict=verdict,
        reasons=tuple(reason for _, reason in found),
    )


@dataclass(frozen=True)
class _Bracket:
    """What chains that started wide have more than those that started at w*.

    Attributes:
        apart: difference of their means, nats.
        error: its standard error, nats.
    """

    apart: float
    error: float

    @property
    def score(self) -> float:
        """Distance in standard errors."""
        return abs(self.apart) / self.error if self.error > 0 else 0.0

    def precision(self, excess: np.ndarray) -> tuple[float, float]:
        """Effective size, draws, and standard error, nats, of the mean of (C, N); it covers both halves."""
        between = _between(excess.mean(1))
        size = excess.size if between == 0 else min(excess.size, np.square(excess.std(ddof=1) / between))
        return float(size), float(np.hypot(between, self.apart / 2))

    def found(self, mean: float, stderr: float) -> list[tuple[Verdict, str]]:
        """Whether the halves agree."""
        share = abs(self.apart / mean) if mean else 0.0
        if self.score > BRACKET_CUT and share > BRACKET_SIZE:
            reason = (
                f"chains that started wide and chains that started at w* differ by {self.score:.1f} standard errors,"
                f" {share:.0%} of the mean (cuts {BRACKET_CUT:g}, {BRACKET_SIZE:.0%}):"
                f" take a longer burn_in and more draws; {LONGER}"
            )
            return [(Verdict.NOT_STATIONARY, reason)]
        if stderr > LOOSE_CUT * abs(mean):
            share = stderr / abs(mean) if mean else float("inf")
            reason = f"the error is {share:.0%} of the mean (cut {LOOSE_CUT:.0%}): take more draws; {LONGER}"
            return [(Verdict.NOT_STATIONARY, reason)]
        return []


def _bracket(excess: np.ndarray, wide: np.ndarray) -> _Bracket:
    """Compare the two ways to start, of (C, N)."""
    means = excess.mean(1)
    far, near = means[wide], means[~wide]
    return _Bracket(float(far.mean() - near.mean()), float(np.hypot(_between(far), _between(near))))


def _between(means: np.ndarray) -> float:
    """Standard error of the mean of independent chains' means (C,); 1.96 of it hold 95 % whatever their number."""
    count = len(means)
    return float(means.std(ddof=1) / np.sqrt(count) * student.ppf(0.975, count - 1) / NORMAL)


def _trend(excess: np.ndarray) -> float:
    """Distance between the means of the two halves of the draws, in standard errors between chains."""
    first, second = np.array_split(excess, 2, axis=1)
    moved = second.mean(1) - first.mean(1)
    error = _between(moved)
    return float(abs(moved.mean()) / error) if error > 0 else 0.0


def _found(
    excess: np.ndarray,
    bracket: _Bracket | None,
    *,
    mean: float,
    stderr: float,
    ess: float,
    rhat: float,
    share_below: float,
    drift: float,
) -> list[tuple[Verdict, str]]:
    """The checks that failed, the gravest first."""
    halves = np.array_split(excess, 2, axis=1)
    moved = abs(halves[1].mean() - halves[0].mean())
    found = []
    if share_below > SHARE_CUT:
        reason = (
            f"{share_below:.0%} of the block means lie significantly below L(w*) (cut {SHARE_CUT:.0%}): w* is no"
            f" local minimum; {OTHERWISE}"
        )
        found.append((Verdict.BELOW_BASELINE, reason))
    if drift > DRIFT_CUT and moved > DRIFT_SIZE * abs(mean):
        reason = (
            f"the two halves of the draws differ by {drift:.1f} standard errors, {moved / abs(mean):.0%} of the"
            f" mean (cuts {DRIFT_CUT:g}, {DRIFT_SIZE:.0%}): take a longer burn_in; {LONGER}"
        )
        found.append((Verdict.NOT_STATIONARY, reason))
    if bracket is not None:
        found += bracket.found(mean, stderr)
    within = _rhat_within(excess)
    steady = within <= RHAT_CUT and rhat - 1 > 3 * (within - 1)
    if rhat > RHAT_CUT and (steady or bracket is None):
        verdict = Verdict.CHAINS_DISAGREE if steady else Verdict.NOT_STATIONARY
        who = "each chain alone is steady" if steady else f"the halves of each chain alone give {within:.3f}"
        reason = f"split R-hat {rhat:.3f} (cut {RHAT_CUT}), {who}: take more draws, or look at the chains; {LONGER}"
        found.append((verdict, reason))
    if ess < ESS_CUT and bracket is None:
        reason = f"effective sample size {ess:.0f} (cut {ESS_CUT:g}): take more draws; {LONGER}"
        found.append((Verdict.NOT_STATIONARY, reason))
    return found


def _tilted(slope: np.ndarray, mean: float) -> list[tuple[Verdict, str]]:
    """Whether the gradient at w* takes part of the excess away.

    Along a gradient g with curvature h the excess is lower by half of E[g . (w* - w)], which is
    nbeta g^2 / (nbeta h + gamma); other directions hide that in the sum.
    """
    if not slope.any() or slope.shape[0] < 2:
        return []
    means = slope.astype(np.float64).mean(1)
    lost, error = -0.5 * means.mean(), 0.5 * means.std(ddof=1) / np.sqrt(len(means))
    if lost <= TILT_CUT * abs(mean) or lost <= TILT * error:
        return []
    share = lost / abs(mean) if mean else float("inf")
    reason = (
        f"the gradient at w* lowers the excess by {share:.0%} of it (cut {TILT_CUT:.0%}): w* is no minimum;"
        f" {OTHERWISE}"
    )
    return [(Verdict.BELOW_BASELINE, reason)]


def _share_below(excess: np.ndarray) -> float:
    """Share of blocks of draws whose mean lies significantly below zero, BLOCKS equal blocks a chain.

    Batch noise is independent from draw to draw, so a block's own spread bounds the error of its mean: with few
    samples a batch, single draws and short blocks fall below zero on healthy chains too.
    """
    size = max(2, excess.shape[1] // BLOCKS)
    count = excess.shape[1] // size
    blocks = excess[:, excess.shape[1] - count * size :].reshape(len(excess), count, size)
    return float((blocks.mean(2) < -BELOW * blocks.std(2, ddof=1) / np.sqrt(size)).mean())


def split_rhat(draws: np.ndarray) -> float:
    """Split R-hat of (C, N); 1 for a constant trace.

    Source: Gelman et al., Bayesian Data Analysis 3, eq. 11.4, by arviz-stats. The halves are made
    here, so that a single chain has one too.
    """
    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, -half:]])
    if np.ptp(halves) == 0:
        return 1.0
    if np.ptp(halves, axis=1).max() == 0:
        return float("inf")
    return float(np.asarray(array_stats.rhat(halves, chain_axis=0, draw_axis=1, method="identity")))


def _rhat_within(draws: np.ndarray) -> float:
    """R-hat of each chain's own two halves, pooled over chains: large where chains wander."""
    half = draws.shape[1] // 2
    first, second = draws[:, :half], draws[:, -half:]
    spread = 0.5 * (first.var(1, ddof=1) + second.var(1, ddof=1)).mean()
    apart = 0.5 * np.square(first.mean(1) - second.mean(1)).mean()
    return float(np.sqrt(1 - 1 / half + apart / spread)) if spread > 0 else float("inf")


def precision(draws: np.ndarray) -> tuple[float, float]:
    """Effective sample size and standard error of the mean of (C, N).

    Noise of batches, new in every draw, hides from a draw's correlations that its chain moves slowly. In means of
    blocks there is less of it: where they give the larger error, it is theirs that counts.
    """
    if np.ptp(draws) == 0:
        return float(draws.size), 0.0
    errors = [_stderr(draws)]
    size = draws.shape[1] // LUMPS
    if size >= 4:
        lumps = draws[:, draws.shape[1] - LUMPS * size :].reshape(len(draws), LUMPS, size).mean(2)
        errors.append(_stderr(lumps))
    return float(min(np.square(draws.std(ddof=1) / max(errors)), draws.size)), max(errors)


def _stderr(draws: np.ndarray) -> float:
    """Standard error of the mean by the effective sample size."""
    ess = float(np.asarray(array_stats.ess(draws, chain_axis=0, draw_axis=1, method="mean")))
    return float(draws.std(ddof=1) / np.sqrt(ess))


def _drift(excess: np.ndarray) -> float:
    """Distance between the means of the two halves of all chains, in standard errors."""
    first, second = np.array_split(excess, 2, axis=1)
    error = np.hypot(precision(first)[1], precision(second)[1])
    return float(abs(second.mean() - first.mean()) / error) if error > 0 else 0.0
