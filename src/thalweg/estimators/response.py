"""How a posterior answers to data: susceptibilities and Bayesian influence.   C chains, N draws, S samples

    chi_x = nbeta (E_C[phi (Lbar - l_x)] - E_C[phi] E[Lbar - l_x]),    phi = L(w) - L(w*) on component C
    BIF(i, j) = -Cov_w(l_i, l_j)

E_C is over the posterior with all weights but those of the component fixed at w*, E over the full
one, Lbar the mean over the samples given. A positive chi_x: more weight on x raises the component's
loss in expectation. Standard errors are batch means: chains, cut into equal blocks until there are
at least 20, give the spread of the first-order effect of their draws. Blocks must be longer than
the autocorrelation, and chains must agree: look at R-hat and ess first.
Source: Baker et al. 2025 (arXiv 2504.18274), app. C.4; influence: arXiv 2509.26544.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from thalweg.errors import InputError

BLOCKS = 20  # batch means, at least; the error of an error is then 1/sqrt(2 * 19) = 16 %


@dataclass(frozen=True, eq=False)
class Response:
    """Responses with their errors.

    Attributes:
        value: (S,) susceptibilities, nats; (Q, S) influences, nats^2, or correlations.
        stderr: Monte Carlo standard errors, of the same shape.
    """

    value: np.ndarray
    stderr: np.ndarray


def susceptibility(component_excess: Any, component_losses: Any, full_losses: Any | None, nbeta: float) -> Response:
    """How the loss of a component answers when each sample gets more weight in the data.

    Args:
        component_excess: (C, N) phi = L(w) - L(w*) at draws of the restricted posterior, nats.
        component_losses: (C, N, S) per-sample losses at the same draws; S samples that stand for
            the data, since their mean is Lbar.
        full_losses: (C', N', S) the same samples at draws of the full posterior, an independent
            run; None where the component is the whole model, and both posteriors are one.
        nbeta: at which all draws were made.

    Returns:
        chi (S,); it sums to zero over the samples.

    Raises:
        InputError: shapes that do not fit, numbers that are not finite.
    """
    phi = _checked(component_excess, "component_excess", 2)
    inside = _checked(component_losses, "component_losses", 3)
    if inside.shape[:2] != phi.shape:
        raise InputError(
            f"component_losses have draws {inside.shape[:2]}, component_excess {phi.shape}: give the same draws"
        )
    if not (np.isfinite(nbeta) and nbeta > 0):
        raise InputError(f"nbeta = {nbeta}: give a positive number")
    shift = inside.mean(2, keepdims=True) - inside
    if full_losses is None:
        effect = _centred(phi)[:, :, None] * _centred(shift)
        value = effect.sum((0, 1)) / (phi.size - 1)
        return Response(nbeta * value, nbeta * _batch_error(effect))
    outside = _checked(full_losses, "full_losses", 3)
    if outside.shape[2] != inside.shape[2]:
        raise InputError(
            f"full_losses have {outside.shape[2]} samples, component_losses {inside.shape[2]}: give equal"
        )
    full_shift = outside.mean(2, keepdims=True) - outside
    effect = phi[:, :, None] * (shift - full_shift.mean((0, 1)))
    error = np.hypot(_batch_error(effect), phi.mean() * _batch_error(full_shift))
    return Response(nbeta * effect.mean((0, 1)), nbeta * error)


def influence(losses: Any, queries: Any | None = None, *, correlation: bool = False) -> Response:
    """Bayesian influence of each sample on each query:  -Cov_w(q, l), over draws of all chains together.

    To first order in its weight, more of sample j changes E[q_i] by nbeta/n times this.

    Args:
        losses: (C, N, S) per-sample losses at draws of one posterior, nats.
        queries: (C, N, Q) anything measured at the same draws; default the losses themselves.
        correlation: divide by both standard deviations.

    Returns:
        (Q, S).

    Raises:
        InputError: shapes that do not fit, numbers that are not finite.
    """
    seen = _checked(losses, "losses", 3)
    asked = seen if queries is None else _checked(queries, "queries", 3)
    if asked.shape[:2] != seen.shape[:2]:
        raise InputError(
            f"queries have draws {asked.shape[:2]}, losses {seen.shape[:2]}: give both at the same draws"
        )
    a, b = _centred(asked), _centred(seen)
    freedom = seen.shape[0] * seen.shape[1] - 1
    if correlation:
        a, b = _unit(a, "queries" if queries is not None else "losses", freedom), _unit(b, "losses", freedom)
    value = np.einsum("cnq,cns->qs", a, b, optimize=True) / freedom
    return Response(-value, _product_error(_blocks(a), _blocks(b), value, correlation))


def _product_error(a: np.ndarray, b: np.ndarray, value: np.ndarray, correlation: bool) -> np.ndarray:
    """Standard error (Q, S) of the mean of a b, from blocks (G, n, Q) and (G, n, S), one block at a time.

    A correlation r moves to first order by a b - r (a^2 + b^2)/2, with a and b of unit variance.
    """
    total, square = np.zeros_like(value), np.zeros_like(value)
    for one, two in zip(a, b, strict=True):
        own = 0.5 * (np.square(one).mean(0)[:, None] + np.square(two).mean(0)) if correlation else 1.0
        effect = one.T @ two / one.shape[0] - value * own
        total, square = total + effect, square + np.square(effect)
    count = len(a)
    return np.sqrt(np.maximum(square / count - np.square(total / count), 0.0) / (count - 1))


def _unit(centred: np.ndarray, name: str, freedom: int) -> np.ndarray:
    """At unit variance over all draws."""
    spread = np.sqrt(np.square(centred).sum((0, 1)) / freedom)
    if not spread.all():
        raise InputError(f"{name} never vary in column {int(spread.argmin())}: leave it out, or correlation=False")
    return centred / spread


def _batch_error(effect: np.ndarray) -> np.ndarray:
    """Standard error (S,) of the mean of (C, N, S)."""
    means = _blocks(effect).mean(1)
    return means.std(0, ddof=1) / np.sqrt(len(means))


def _blocks(draws: np.ndarray) -> np.ndarray:
    """(C, N, S) as at least BLOCKS blocks (G, n, S); the first draws that fill none are left out."""
    chains, count, width = draws.shape
    each = -(-BLOCKS // chains)
    size = count // each
    return draws[:, count - each * size :].reshape(chains * each, size, width)


def _centred(draws: np.ndarray) -> np.ndarray:
    """Minus the mean over all draws."""
    return draws - draws.mean((0, 1))


def _checked(draws: Any, name: str, ndim: int) -> np.ndarray:
    """As float64, of the right shape, finite, with draws enough for the blocks."""
    array = np.asarray(draws, dtype=np.float64)
    axes = ("chains", "draws", "samples")[:ndim]
    if array.ndim != ndim or 0 in array.shape:
        raise InputError(f"{name} has shape {array.shape}: give ({', '.join(axes)})")
    needed = 2 * -(-BLOCKS // array.shape[0])
    if array.shape[1] < needed:
        raise InputError(
            f"{name} has {array.shape[1]} draws of {array.shape[0]} chains: give at least {needed} draws"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds numbers that are not finite: sample with a smaller step_size")
    return array
