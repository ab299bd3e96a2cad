"""From one checkpoint to the next: the change of test loss that free energy leads to expect, and the one observed.

    posterior draws    d test = d train + d lambda/(n beta) + beta d V/n        V: functional variance
    a point            d test = d train + 2 d mu/n           mu >= lambda, equal to it where the model is regular

A Bayesian moves to a phase of larger lambda when n |dL| > d lambda log n + dc, so that its test loss falls there
wherever d lambda (ln n - 1) + dc > 0: a rise then refutes that the transition is Bayesian. A fall proves nothing.
Source: Watanabe 2018, *Mathematical Theory of Bayesian Statistics*, sections 5 and 6, for the gaps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thalweg.errors import InputError
from thalweg.phases._numbers import ascending, columns

SURE = 2.0  # standard errors


@dataclass(frozen=True)
class Forecast:
    """One interval between checkpoints.

    Attributes:
        start: training step.
        end: training step.
        d_train: change of train loss, nats per sample.
        d_llc: change of the learning coefficient.
        d_test: observed change of test loss, nats per sample.
        point: expected change of test loss of a point, with lambda in the place of mu.
        draws: expected change of the mean test loss of posterior draws, whose train loss is that of the point and
            lambda/(n beta) more; None where no functional variance was logged.
        refuted: train loss falls, lambda rises by more than 2 errors, and test loss rises where a Bayesian's could
            not.
    """

    start: int
    end: int
    d_train: float
    d_llc: float
    d_test: float
    point: float
    draws: float | None
    refuted: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def forecasts(
    steps: Sequence[int] | np.ndarray,
    train_loss: Sequence[float] | np.ndarray,
    test_loss: Sequence[float] | np.ndarray,
    llc: Sequence[float] | np.ndarray,
    n: int,
    *,
    llc_stderr: Sequence[float] | np.ndarray | None = None,
    functional_variance: Sequence[float] | np.ndarray | None = None,
    beta: float = 1.0,
    constant: Sequence[float] | np.ndarray | None = None,
) -> list[Forecast]:
    """Hold every interval against what free energy expects.

    Args:
        steps: (T) training steps, ascending.
        train_loss: (T) nats per sample.
        test_loss: (T) nats per sample, of data that were not trained on.
        llc: (T) learning coefficients; leave unhealthy checkpoints out.
        n: training samples, at least 2.
        llc_stderr: (T) standard errors of llc; default none. Test losses are taken as they are: their error is that
            of the test data, which all checkpoints share.
        functional_variance: (T) V, over draws at inverse temperature `beta` per sample.
        beta: of those draws, 1 for the posterior, 1/log n where nbeta = n/log n.
        constant: (T) c, nats, such as half the log determinant and the prior's part; default: it does not change,
            and `refuted` holds as far as that is so.

    Returns:
        T - 1 forecasts.

    Raises:
        InputError: lengths that differ, NaN, steps that do not ascend, n or beta out of range.
    """
    optional = {"functional_variance": functional_variance, "llc_stderr": llc_stderr, "constant": constant}
    named = {"train_loss": train_loss, "test_loss": test_loss, "llc": llc}
    arrays = columns(steps, named | {name: column for name, column in optional.items() if column is not None})
    ascending(arrays["steps"])
    if n < 2 or beta <= 0:
        raise InputError(f"n = {n}, beta = {beta}: give n >= 2 and beta > 0")
    moved = {name: np.diff(values.astype(np.float64)) for name, values in arrays.items()}
    errors = arrays.get("llc_stderr", np.zeros(len(arrays["llc"])))
    least = moved["llc"] - SURE * np.hypot(errors[1:], errors[:-1])
    price = least * (np.log(n) - 1) + moved.get("constant", 0.0)
    refuted = (moved["train_loss"] < 0) & (least > 0) & (price > 0) & (moved["test_loss"] > 0)
    point = moved["train_loss"] + 2 * moved["llc"] / n
    draws = np.full(len(point), None)
    if functional_variance is not None:
        draws = moved["train_loss"] + moved["llc"] / (n * beta) + beta * moved["functional_variance"] / n
    ends = arrays["steps"].astype(int).tolist()
    changes = (moved[name].tolist() for name in ("train_loss", "llc", "test_loss"))
    found = zip(ends[:-1], ends[1:], *changes, point.tolist(), draws.tolist(), refuted.tolist(), strict=True)
    return [Forecast(*each) for each in found]
