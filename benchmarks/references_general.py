"""Reference values of the local learning coefficient beyond products of matrices, by samplers that share no code
with those of the package.

    python benchmarks/references_general.py [names...]

Without names, what references.json lacks is computed; what is named is computed anew. For

    p(w) ~ exp(-nbeta K(w) - (gamma/2) |w - w*|^2),    value = nbeta E_p[K],

tanh P, nmf:  some weights are integrated out exactly, the others drawn from a normal or a mixture of normals of every
              scale and weighted: independent draws, no chain. `tanh P` is K = E_x (sum_i a_i tanh(b_i x))^2 / 2 with
              32 Gauss-Hermite nodes for x ~ N(0, 1); `nmf 3x3 H=2` is K = | |A| |B| |^2 / 2; both at w* = 0.
tms:          the toy model of superposition at a k-gon, where a lower phase, far away, holds nearly all of the mass:
              the law is cut to the phase. The rotation integrates out; random-walk Metropolis on the rest.
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
from references import OUT, summarise
from torch import Generator, Tensor
from torch.func import hessian

from thalweg.check import superposition

NAMES = ("tanh 4", "nmf 3x3 H=2", "tanh 9", "tms 6-gon", "tms 5+-gon", "tms 5-gon")
GAMMA, FEATURES = 1.0, 6
BATCHES, BATCH = 200, 10_000  # of independent draws
CHAINS, EVERY = 512, 5  # steps to a record
PILOTS, PILOT, BLOCK = 4, 3000, 20_000  # rounds that learn the covariance, their steps; steps between looks
TARGET = 0.002  # stderr / value
ROUNDING = 1e-9  # nats by which nbeta K may fall below 0

Law = Callable[[Tensor], tuple[Tensor, Tensor]]  # (N, ..) -> log density, nbeta E[K | these]; (N,) nats


class Entry(NamedTuple):
    """A value, its error and how it was made."""

    value: float
    stderr: float
    how: str


class Marginal(NamedTuple):
    """Weights in independent columns, N(0, 1/gamma) but for a factor."""

    columns: int
    size: int  # weights to a column
    scales: tuple[float, ...]  # of the normals drawn from, in tether lengths, equally likely
    factor: Law  # log of the integral over the other weights


def tanh_readout(x: Tensor, nbeta: float) -> tuple[Tensor, Tensor]:
    """Of b (N, p, 1), the readout a integrated out: with P = gamma + nbeta G, G = E_x tanh(b x) tanh(b x)',

    log det(P)^(-1/2),    nbeta E[K | b] = tr(nbeta G P^-1) / 2.
    """
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(32))
    units = torch.tanh(x * nodes) * (weights / weights.sum()).sqrt()
    seen = nbeta * torch.linalg.eigvalsh(units @ units.mT).clamp(min=0)
    return -0.5 * (GAMMA + seen).log().sum(-1), 0.5 * (seen / (GAMMA + seen)).sum(-1)


def nonnegative_rows(x: Tensor, nbeta: float, rows: int = 3) -> tuple[Tensor, Tensor]:
    """Of the two columns (N, 2, 3) of A, the columns of |B|, `rows` of them, integrated out over their quadrant:

        Z = int_{v >= 0} exp(-v'Pv/2) dv = angle / s,   P = gamma + nbeta A'A,   s^2 = det P,
        angle = atan2(s, P_12),   nbeta E[K | A] = -nbeta d log Z^rows / d nbeta.

    P_12 >= 0; where it rules the angle is small, and nothing cancels.
    """
    first, second = x.abs().unbind(-2)
    inner, norms = (first * second).sum(-1), first.square().sum(-1) + second.square().sum(-1)
    area = torch.linalg.cross(first, second).square().sum(-1)
    s = (nbeta**2 * area + nbeta * GAMMA * norms + GAMMA**2).sqrt()
    angle = torch.atan2(s, nbeta * inner)
    rise = (2 * nbeta * area + GAMMA * norms) / (2 * s)  # ds / d nbeta
    turn = (rise * nbeta * inner - s * inner) / (s.square() + (nbeta * inner).square())
    return rows * (angle / s).log(), rows * nbeta * (rise / s - turn / angle)


def weigh(posterior: Marginal, batches: int, generator: Generator) -> Entry:
    """The ratio of means sum f v / sum f over independent draws, its error from the spread between batches."""
    scales, tops, sums = torch.tensor(posterior.scales, dtype=torch.float64), [], []
    for _ in range(batches):
        shape = (BATCH, posterior.columns)
        picked = scales[torch.randint(len(scales), shape, generator=generator)]
        unit = picked[..., None] * torch.randn((*shape, posterior.size), generator=generator, dtype=torch.float64)
        square = unit.square().sum(-1, keepdim=True)
        bells = -0.5 * square * (scales**-2 - 1) - posterior.size * scales.log() - math.log(len(scales))
        log_factor, value = posterior.factor(unit * GAMMA**-0.5)
        log_weight = log_factor - bells.logsumexp(-1).sum(-1)
        tops.append(log_weight.max())
        weight = (log_weight - tops[-1]).exp()
        sums.append(torch.stack([weight.sum(), (weight * value).sum(), weight.square().sum()]))
    top = torch.stack(tops)
    total, seen, squares = (torch.stack(sums) * torch.exp(top - top.max())[:, None] ** torch.tensor([1, 1, 2])).T
    value = (seen.sum() / total.sum()).item()
    stderr = ((seen - value * total).std() / total.mean() / batches**0.5).item()
    effective = (total.sum() ** 2 / squares.sum()).item()
    return Entry(value, stderr, f"importance sampling, {batches * BATCH} draws, {effective:.0f} effective")


class Phase(NamedTuple):
    """A k-gon of the toy model of superposition, w = (W, b) flat."""

    center: Tensor  # (3 c,)
    nbeta: float

    @property
    def orbit(self) -> Tensor:
        """The unit direction in which a rotation moves w*."""
        first, second = self.center[: 2 * FEATURES].reshape(2, FEATURES)
        move = torch.cat([-second, first, torch.zeros(FEATURES, dtype=torch.float64)])
        return move / move.norm()

    def excess(self, x: Tensor) -> Tensor:
        """nbeta K of (.., 3 c)."""
        W, b = x[..., : 2 * FEATURES].unflatten(-1, (2, FEATURES)), x[..., 2 * FEATURES :]
        W0, b0 = self.center[: 2 * FEATURES].reshape(2, FEATURES), self.center[2 * FEATURES :]
        return self.nbeta * (superposition.loss(W, b) - superposition.loss(W0, b0))

    def law(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """On the slice x.orbit = 0, z = W.W* > 0, which meets each rotation orbit once.

        K does not change along the orbit; the tether, averaged over it, and the volume element leave

            p(x) ~ exp(-nbeta K - (gamma/2) (|W|^2 + |b - b*|^2)) I_0(gamma z) z,

        cut to the phase: K >= 0, and zero columns with negative bias keep its sign.
        """
        excess = self.excess(x)
        z = x[..., : 2 * FEATURES] @ self.center[: 2 * FEATURES]
        inside = (z > 0) & (excess >= -ROUNDING)
        inside &= ((x < 0) | (self.center != superposition.DEAD)).all(-1)
        averaged = torch.special.i0e(GAMMA * z).log() + z.clamp(min=1e-300).log()
        log_p = averaged - excess - 0.5 * GAMMA * (x - self.center).square().sum(-1)
        return torch.where(inside, log_p, -math.inf), excess


def walk(law: Law, x: Tensor, factor: Tensor, steps: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Random-walk Metropolis in the span of `factor` (D, D'), at sizes around 2.4/sqrt(D') and far smaller ones.

    Returns:
        The last states, and the mean value over every EVERY steps, (steps / EVERY, C).
    """
    (log_p, value), rank, record = law(x), factor.shape[1], []
    for _ in range(steps // EVERY):
        total = torch.zeros_like(value)
        for _ in range(EVERY):
            noise = torch.randn((len(x), rank), generator=generator, dtype=torch.float64)
            u = torch.rand((2, len(x)), generator=generator, dtype=torch.float64)
            new = x + (3.0 / rank**0.5 * 10 ** -u[0])[:, None] * noise @ factor.T
            new_log_p, new_value = law(new)
            taken = u[1].log() < new_log_p - log_p
            x, log_p = torch.where(taken[:, None], new, x), torch.where(taken, new_log_p, log_p)
            value = torch.where(taken, new_value, value)
            total += value
        record.append(total / EVERY)
    return x, torch.stack(record)


def settle(posterior: Phase, generator: Generator) -> Entry:
    """Learn the covariance in a few rounds, then walk with it fixed until the error is at TARGET.

    Half of the chains start at w*, the second half spread out like the pilot, from which nothing else is kept.
    """
    away = torch.eye(len(posterior.center), dtype=torch.float64) - torch.outer(posterior.orbit, posterior.orbit)
    basis = torch.linalg.svd(away).U[:, :-1]
    curvature = basis.T @ hessian(posterior.excess)(posterior.center) @ basis
    covariance = torch.linalg.inv(curvature + 100 * GAMMA * torch.eye(basis.shape[1]))
    near = posterior.center.expand(CHAINS, -1)
    x = near
    for _ in range(PILOTS):
        x, _ = walk(posterior.law, x, basis @ torch.linalg.cholesky(covariance), PILOT, generator)
        covariance = (basis.T @ x.T).cov()
    factor = basis @ torch.linalg.cholesky(covariance)
    x = torch.where((torch.arange(CHAINS) < CHAINS // 2)[:, None], near, x)
    records = []
    while True:
        x, record = walk(posterior.law, x, factor, BLOCK, generator)
        records.append(record)
        seen = summarise(torch.cat(records))
        print(f"    {len(records) * BLOCK} steps: {seen}", flush=True)
        if seen.stderr <= TARGET * seen.value and seen.rhat < 1.01 and max(abs(seen.starts), abs(seen.halves)) < 2.5:
            break
        if len(records) > 9:
            raise SystemExit(f"not settled: {seen}")
    how = f"Metropolis off the rotation orbit, cut to the phase, {CHAINS} chains x {len(records) * BLOCK} steps"
    return Entry(seen.value, seen.stderr, f"{how}, split R-hat {seen.rhat:.4f}")


def compute(name: str) -> dict[str, float | str]:
    """One entry of references.json."""
    began, generator = time.perf_counter(), Generator().manual_seed(zlib.crc32(name.encode()))
    n = 5e5 if name.startswith("tms") else 1e4
    nbeta = n / math.log(n)
    if name == "nmf 3x3 H=2":
        marginal = Marginal(2, 3, (1.0, 0.3, 0.1, 0.03), lambda x: nonnegative_rows(x, nbeta))
        entry = weigh(marginal, BATCHES, generator)
    elif found := re.fullmatch(r"tanh (\d+)", name):
        entry = weigh(Marginal(int(found[1]), 1, (1.0,), lambda x: tanh_readout(x, nbeta)), BATCHES, generator)
    elif found := re.fullmatch(r"tms (\d)(\+?)-gon", name):
        W, b = superposition.gon(FEATURES, int(found[1]), len(found[2]))
        entry = settle(Phase(torch.cat([W.flatten(), b]), nbeta), generator)
    else:
        raise SystemExit(f"unknown reference {name!r}; known: {', '.join(NAMES)}")
    print(
        f"{name:14}{entry.value:10.4f} +- {entry.stderr:.4f}   {entry.how}   {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return {"value": entry.value, "stderr": entry.stderr, "nbeta": nbeta, "gamma": GAMMA, "how": entry.how}


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
