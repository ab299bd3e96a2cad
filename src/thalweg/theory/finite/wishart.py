"""Finite-n values of reduced rank regression at the origin, exact by the eigenvalues of a Wishart matrix."""

from math import log, pi, sqrt

import numpy as np
from scipy.linalg import matmul_toeplitz
from scipy.special import sici

from thalweg.errors import InputError
from thalweg.theory._checks import count, real

EDGE = 45.0  # e^-45 is below float64
MOST = 50  # eigenvalues; with more, rounding is seen between routes but not always between grids
UNDERFLOW = 300.0  # e^-600, the square of a weight, is still above zero
AGREED = 1e-9  # relative, between two grids: beyond it rounding has taken over


def reduced_rank_origin(
    inputs: int, hidden: int, outputs: int, nbeta: float, gamma: float, scale: float = 0.5
) -> float:
    """Of K = scale ||B A||_F^2 at w* = 0, A hidden x inputs and B outputs x hidden.

    Given B, the columns of A are Gaussian and integrate out; with l_1 .. l_k the eigenvalues of gamma B'B,
    Delta = |N - H| and tau = 2 nbeta scale / gamma^2 what is left is

        Z = int prod_j l_j^{(Delta-1)/2} e^{-l_j/2} (1 + tau l_j)^{-M/2} prod_{i<j} |l_i - l_j| dl,
        nbeta E[K] = -d log Z / d log tau

    and Z is a Pfaffian of k x k moments with the kernel sign(y - x). The moments are taken in orthonormal
    polynomials on a grid in log l, the kernel by sinc interpolation, so that they converge exponentially.

    Args:
        inputs: M >= 1.
        hidden: H >= 1.
        outputs: N >= 1.
        nbeta: > 0.
        gamma: > 0, nats per squared weight.
        scale: > 0, nats; 1/2 for squared errors of unit variance and inputs of unit covariance.

    Returns:
        nbeta E[K], a function of nbeta scale / gamma^2 alone, symmetric in M and N. Relative error below
        1e-12 for a least width to 30, 1e-9 to 50: so the two integrals of one network (A or B out, where H is
        least) agree, for other widths to 950 and nbeta scale / gamma^2 from 1e-6 to 1e24, and so plain quadrature
        of two eigenvalues.

    Raises:
        InputError: an argument out of range, min(M, H, N) > 50, or float64 does not suffice: eigenvalues too far
            apart for its range, or two grids that differ.

    Source: de Bruijn 1955, applied to the real Wishart density (Muirhead 1982, theorem 3.2.18).
    """
    m_, h, n = count("inputs", inputs), count("hidden", hidden), count("outputs", outputs)
    if min(m_, h) < min(n, h):
        m_, n = n, m_
    if min(n, h) > MOST:
        raise InputError(
            f"inputs, hidden, outputs = {inputs}, {hidden}, {outputs}: give a least width of at most {MOST}"
        )
    log_tau = log(2 * real("scale", scale)) + log(real("nbeta", nbeta)) - 2 * log(real("gamma", gamma))
    value, other = (_mean(min(n, h), abs(n - h), m_, log_tau, finer) for finer in (1.0, 1.2))
    if not abs(value - other) <= AGREED * abs(value):
        raise InputError(
            f"{min(n, h)} eigenvalues: two grids differ by {abs(other / value - 1):.0e}, more than {AGREED:.0e}:"
            " take narrower layers or a smaller nbeta scale / gamma^2"
        )
    return value


def _mean(k: int, delta: int, m: int, log_tau: float, finer: float) -> float:
    """-d log Z / d log tau, by d log Pf(A) = tr(A^-1 dA)/2."""
    u, log_weight, share = _measure(k, delta, m, log_tau, finer)
    forms = _forms(u, log_weight, k)
    kernel = 2 / pi * sici(pi * np.arange(len(u)))[0]  # of sign(v - u) between sinc functions at nodes
    signed = matmul_toeplitz((kernel, -kernel), np.asfortranarray(forms))
    tilted = share[:, None] * forms
    pairs, change = forms.T @ signed, tilted.T @ signed
    pairs, change = (pairs - pairs.T) / 2, change - change.T
    if k % 2:
        pairs, change = _bordered(pairs, forms.sum(0)), _bordered(change, tilted.sum(0))
    return 0.5 * float(np.trace(np.linalg.solve(pairs, change)))


def _measure(k: int, delta: int, m: int, log_tau: float, finer: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes u = log l, equal steps; log weight of one eigenvalue in u; its share (M/2) tau l/(1 + tau l)."""

    def log_weight(u: np.ndarray) -> np.ndarray:
        return 0.5 * (delta + 1) * u - 0.5 * np.exp(u) - 0.5 * m * np.logaddexp(0.0, u + log_tau)

    power = 0.5 * (delta + 1) + 2 * k
    last = log(2 * power + 2 * EDGE + 2 * sqrt(2 * EDGE * power))
    wide = np.linspace(min(0.0, -log_tau) - (3 * EDGE + m * log(2)) / (delta + 1), last, 2000)
    heights = log_weight(wide)
    first = wide[max(np.argmax(heights > heights.max() - 1.5 * EDGE) - 1, 0)]
    step = min(0.125, 2 / (sqrt(power + 0.5 * m) * (sqrt(2 * k) + 6))) / finer
    u = np.arange(first, last + step, step)
    return u, log_weight(u), 0.5 * m / (1 + np.exp(-u - log_tau))


def _forms(u: np.ndarray, log_weight: np.ndarray, k: int) -> np.ndarray:
    """Polynomials in l of degree < k, times the weight: (nodes, k), orthonormal with the weight in.

    Orthonormal under the weight they would lose the small end: its digits against a larger weight. They go up from
    the first power in reach of all others in the range of float64, then down, which costs digits at the small end.
    """
    first = _first_power(u, log_weight, k)
    start = log_weight + first * u
    basis, below = np.empty((len(u), k)), 0
    for j in range(k):
        if j == 0:
            column = np.exp(start - start.max())
        elif j < k - first:
            column = np.exp(u) * basis[:, j - 1]
        else:
            column, below = np.exp(-u) * basis[:, below], j
        for _ in range(2):  # once more, against rounding
            column = column - basis[:, :j] @ (basis[:, :j].T @ column)
        basis[:, j] = column / np.linalg.norm(column)
    return basis


def _first_power(u: np.ndarray, log_weight: np.ndarray, k: int) -> int:
    """The lowest power of l whose form is not lost to underflow where the lowest and the highest one peak."""
    ends = [int(np.argmax(log_weight + power * u)) for power in (0, k - 1)]
    for power in range(k):
        form = log_weight + power * u
        if min(form[ends]) > form.max() - UNDERFLOW:
            return power
    raise InputError(f"{k} eigenvalues lie too far apart for float64: take a smaller nbeta scale / gamma^2")


def _bordered(pairs: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """The Pfaffian of an odd number of eigenvalues has one more row, of single moments."""
    return np.block([[pairs, edge[:, None]], [-edge[None, :], np.zeros((1, 1))]])
