"""Reference values of the local learning coefficient beyond products of matrices, by weighted independent draws.

    python benchmarks/references_general.py [names...]

Without names, what references.json lacks is computed; what is named is computed anew. There is no chain: for

    p(w) ~ exp(-nbeta K(w) - (gamma/2) |w - w*|^2),    value = nbeta E_p[K] = E_q[(p/q) nbeta K] / E_q[p/q],

w comes from a law q near p that can be drawn from, and directions that integrate out exactly are not drawn.

tanh P:       K = E_x (sum_i a_i tanh(b_i x))^2 / 2 at 0, x ~ N(0, 1) by 32 Gauss-Hermite nodes; a integrates out.
nmf 3x3 H=2:  K = | |A| |B| |^2 / 2 at 0; B integrates out.
tms G:        the toy model of superposition at a k-gon; rotations integrate out. Another phase, far away, has a lower
              loss and nearly all of the mass: the value is that of the law cut to the phase, which is what a
              sampler that starts at w* reads for as long as it stays.
"""

import argparse
import json
import math
import os
import re
import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.func import grad, jacrev

from references import OUT
from thalweg.theory import superposition_loss as superposition

NAMES = ("tanh 4", "nmf 3x3 H=2", "tanh 9", "tms 6-gon", "tms 5+-gon", "tms 5-gon")
GAMMA, FEATURES = 1.0, 6
BATCHES, BATCH, LEAST = 200, 10_000, 100_000  # of draws; effective draws, below which there is no value
FREEDOM, WIDER = 12.0, 1.05  # of Student's t around a phase, and its scale in those of the Laplace approximation
REACH = 0.5  # of zero columns that are off; p has left long before (0.34)
CUT = -0.1  # of their biases: near 0 a way leads down to lower phases; at -0.05 or -0.5 the value moves by < 0.002

Draws = Callable[[Generator], tuple[Tensor, Tensor]]  # -> log p/q up to a constant, nbeta E[K | draw], (BATCH,) nats


class Entry(NamedTuple):
    """A value, its error and how it was made."""

    value: float
    stderr: float
    how: str


def weigh(draws: Draws, generator: Generator, batches: int = BATCHES) -> Entry:
    """The ratio of sums of f v and f, f = p/q, and its error from the spread between batches.

    Raises:
        SystemExit: fewer effective draws, (sum f)^2 / sum f^2, than LEAST: q misses too much of p.
    """
    tops, rows = [], []
    for _ in range(batches):
        log_weight, value = draws(generator)
        tops.append(log_weight.max())
        weight = (log_weight - tops[-1]).exp()
        rows.append(torch.stack([weight.sum(), (weight * value).sum(), weight.square().sum()]))
    scale = (torch.stack(tops) - max(tops)).exp()
    total, seen, squares = (torch.stack(rows) * torch.stack([scale, scale, scale.square()], 1)).T
    value = (seen.sum() / total.sum()).item()
    stderr = ((seen - value * total).std() / total.mean() / batches**0.5).item()
    effective = (total.sum() ** 2 / squares.sum()).item()
    if effective < LEAST:
        raise SystemExit(f"{effective:.0f} effective draws of {batches * BATCH}: {value:.4f} +- {stderr:.4f}")
    return Entry(value, stderr, f"importance sampling, {batches * BATCH} draws, {effective:.0f} effective")


def tanh_network(hidden: int, nbeta: float) -> Draws:
    """Draw b from its prior. Given b, a is Gaussian: with P = gamma + nbeta G, G = E_x tanh(b x) tanh(b x)',

    p/q = det(P)^(-1/2),    nbeta E[K | b] = tr(nbeta G P^-1) / 2.
    """
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(32))

    def draws(generator: Generator) -> tuple[Tensor, Tensor]:
        b = GAMMA**-0.5 * _randn(BATCH, hidden, 1, generator=generator)
        units = torch.tanh(b * nodes) * (weights / weights.sum()).sqrt()
        seen = nbeta * torch.linalg.eigvalsh(units @ units.mT).clamp(min=0)
        return -0.5 * (GAMMA + seen).log().sum(-1), 0.5 * (seen / (GAMMA + seen)).sum(-1)

    return draws


def nonnegative(nbeta: float, rows: int = 3, scales: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03)) -> Draws:
    """Each of the two columns of A from an equal mixture of normals of many scales.

    Given A, each of the `rows` columns v of |B| is Gaussian on the quadrant, whose integral is known:

        int_{v >= 0} exp(-v'Pv/2) dv = angle / s,   P = gamma + nbeta A'A,   s^2 = det P,   angle = atan2(s, P_12),
        nbeta E[K | A] = -nbeta rows d log(angle / s) / d nbeta.
    """
    widths = torch.tensor(scales, dtype=torch.float64)

    def draws(generator: Generator) -> tuple[Tensor, Tensor]:
        picked = widths[torch.randint(len(widths), (BATCH, 2, 1), generator=generator)]
        unit = picked * _randn(BATCH, 2, rows, generator=generator)
        over_prior = -0.5 * unit.square().sum(-1, keepdim=True) * (widths**-2 - 1) - rows * widths.log()
        first, second = (unit * GAMMA**-0.5).abs().unbind(-2)
        inner, norms = (first * second).sum(-1), first.square().sum(-1) + second.square().sum(-1)
        area = torch.linalg.cross(first, second).square().sum(-1)
        s = (nbeta**2 * area + nbeta * GAMMA * norms + GAMMA**2).sqrt()
        angle = torch.atan2(s, nbeta * inner)
        rise = (2 * nbeta * area + GAMMA * norms) / (2 * s)  # ds / d nbeta
        turn = inner * (rise * nbeta - s) / (s.square() + (nbeta * inner).square())  # d angle / d nbeta
        log_weight = rows * (angle / s).log() - over_prior.logsumexp(-1).sum(-1)
        return log_weight, rows * nbeta * (rise / s - turn / angle)

    return draws


def phase(gon: tuple[Tensor, Tensor], nbeta: float) -> Draws:
    """Around a k-gon (W*, b*), on the slice of w that meets each rotation orbit once: tr W'JW* = 0 < z = tr W'W*.

    K does not change along an orbit; the localization averaged over it, and the volume element, leave on the slice

        p ~ exp(-nbeta K - (gamma/2) (|W|^2 + |b - b*|^2)) I_0(gamma z) z.

    q: zero columns that are off have K flat around them: their biases from the prior, cut; the columns uniform on a
    disc. In the other directions, Student's t with the curvature of nbeta K + localization. K is read at the whole
    of w, so that q only has to cover p.
    """
    (W, b), c = gon, FEATURES
    center, off = torch.cat([W.flatten(), b]), b == superposition.DEAD
    orbit = torch.cat([-W[1], W[0], torch.zeros_like(b)])
    kept = torch.eye(3 * c, dtype=torch.float64) - torch.outer(orbit, orbit) / orbit.square().sum()
    kept = kept * ~off.repeat(3)  # columns of W* that are off are zero: they do not move along the orbit
    size = 3 * int((~off).sum()) - 1
    basis = torch.linalg.svd(kept).U[:, :size]

    def excess(w: Tensor) -> Tensor:
        return nbeta * (superposition.loss(w[..., : 2 * c].unflatten(-1, (2, c)), w[..., 2 * c :]) - least)

    least = superposition.loss(W, b)
    localized = torch.cat([torch.ones(2 * c), (~off).double()])  # biases that are off are drawn from their prior
    curvature = basis.T @ jacrev(grad(excess))(center) @ basis + GAMMA * torch.eye(size)
    factor = WIDER * basis @ torch.linalg.cholesky(torch.linalg.inv(curvature))

    def draws(generator: Generator) -> tuple[Tensor, Tensor]:
        chi = _randn(BATCH, int(FREEDOM), generator=generator).square().mean(-1, keepdim=True)
        t = _randn(BATCH, size, generator=generator) / chi.sqrt()
        w = center + t @ factor.T
        u = torch.rand((2, BATCH, c), generator=generator, dtype=torch.float64)
        disc = REACH * u[0].sqrt() * torch.stack([(2 * math.pi * u[1]).cos(), (2 * math.pi * u[1]).sin()])
        bias = b + GAMMA**-0.5 * _randn(BATCH, c, generator=generator)
        w = torch.where(off.repeat(3), torch.cat([*disc, bias], -1), w)
        value, z = excess(w), w[:, : 2 * c] @ W.flatten()
        inside = (z > 0) & ((bias < CUT) | ~off).all(-1)
        if (value[inside] < 0).any():
            raise SystemExit(f"a draw inside the cut lies below L(w*) by {-value[inside].min():.3g} nats")
        localization = 0.5 * GAMMA * ((w - center).square() * localized).sum(-1)
        log_p = torch.special.i0e(GAMMA * z).log() + z.clamp(min=1e-300).log() - value - localization
        log_q = -0.5 * (FREEDOM + size) * (t.square().sum(-1) / FREEDOM).log1p()
        return torch.where(inside, log_p - log_q, -math.inf), value

    return draws


def _randn(*shape: int, generator: Generator) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def posterior(name: str) -> tuple[Draws, float]:
    """What a name stands for, and its nbeta."""
    n = 5e5 if name.startswith("tms") else 1e4
    nbeta = n / math.log(n)
    if name == "nmf 3x3 H=2":
        return nonnegative(nbeta), nbeta
    if found := re.fullmatch(r"tanh (\d+)", name):
        return tanh_network(int(found[1]), nbeta), nbeta
    if found := re.fullmatch(r"tms (\d)(\+?)-gon", name):
        return phase(superposition.gon(FEATURES, int(found[1]), len(found[2])), nbeta), nbeta
    raise SystemExit(f"unknown reference {name!r}; known: {', '.join(NAMES)}")


def compute(name: str) -> dict[str, float | str]:
    """One entry of references.json."""
    began, (draws, nbeta) = time.perf_counter(), posterior(name)
    value, stderr, how = weigh(draws, Generator().manual_seed(zlib.crc32(name.encode())))
    print(f"{name:12}{value:9.4f} +- {stderr:.4f}   {how}   {time.perf_counter() - began:.0f} s", flush=True)
    return {"value": value, "stderr": stderr, "nbeta": nbeta, "gamma": GAMMA, "how": how}


def main() -> None:
    """Compute what is asked for, and keep each entry as soon as it is finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="what to compute anew; without names, all that is missing")
    words = parser.parse_args()
    torch.set_num_threads(1)
    for name in words.names or [name for name in NAMES if name not in json.loads(OUT.read_text())]:
        entry = compute(name)
        OUT.with_suffix(".tmp").write_text(json.dumps(json.loads(OUT.read_text()) | {name: entry}, indent=1) + "\n")
        os.replace(OUT.with_suffix(".tmp"), OUT)


if __name__ == "__main__":
    main()
