"""Long reference values of the local learning coefficient, by exact block Gibbs: no step size, nothing to tune.

    python benchmarks/references.py [names...]

Without names, what references.json lacks is computed; what is named is computed anew. For products of matrices,
w = (W_1, ..., W_L), at a point w* with T = W*_L ... W*_1,

    K(w) = |W_L ... W_1 - T|^2 / 2,    p(w) ~ exp(-nbeta K(w) - (gamma/2) |w - w*|^2),    value = nbeta E_p[K].

Each layer given the others is exactly Gaussian. Gibbs alone creeps along the orbits W_l -> G W_l,
W_{l+1} -> W_{l+1} G^-1 on which K is constant; moves along them cross in one step (Liu & Sabatti 2000).
"""

import argparse
import json
import math
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

OUT = Path(__file__).parents[1] / "src" / "thalweg" / "check" / "references.json"
NAMES = (  # widths from input to output; r: rank of T, or the ranks of the two layers; n is 10^4 unless named
    *("rrr 2-2-2 at (5,0)", "rrr 3-3-3 at (3,1)", "rrr 4-3-2 at (3,0)"),
    *("rrr 2-2-2 r1", "rrr 3-3-3 r1", "rrr 3-3-3 r2", "rrr 3-3-3 r3", "rrr 4-3-8 r2", "rrr 5-3-5 r1"),
    *("dln 2-2-2-2 r0", "dln 2-2-2-2-2 r0", "dln 3-2-2-3 r0", "dln 3-3-3-3 r1", "dln 4-2-3-4 r0"),
    *("rrr 3-3-3 r1 n1e6", "dln 3-3-3-3 r1 n1e6"),
    *("rrr 6-4-6 r2", "dln 5-5-5-5-5 r2", "rrr 10-10-10 r5", "dln 10-20-20-10 r3"),
)
TRAINED = {
    "(5,0)": (5.0, 0.0, 0),
    "(3,1)": (10.0, 0.1, 1),
    "(3,0)": (5.0, 0.0, 0),
}  # scale of W_1, of W_2, rank of W_2
TARGET, SPREAD, BLOCK, ORBITS = 0.0003, 2.0, 2000, 2  # stderr / value; overdispersion; sweeps; orbit moves a sweep


class Case(NamedTuple):
    """A posterior."""

    center: tuple[Tensor, ...]  # w*: W_l of shape (width l, width l - 1)
    nbeta: float
    gamma: float = 1.0


class Summary(NamedTuple):
    """What independent chains say of nbeta E[K]."""

    value: float
    stderr: float  # from the spread of the chains' means
    rhat: float  # split
    starts: float  # chains from w* less chains from afar, in standard errors
    halves: float  # first half of the kept sweeps less the second, in standard errors


def lookup(name: str) -> Case:
    """The posterior that a name stands for; `at (...)` is a point with a large, full-rank first layer."""
    found = re.fullmatch(r"(?:rrr|dln) ([\d-]+) (?:r(\d+)|at (\S+))(?: n(\S+))?", name)
    if found is None or (found[3] and found[3] not in TRAINED):
        raise SystemExit(f"unknown reference {name!r}; known: {', '.join(NAMES)}")
    widths, n = tuple(map(int, found[1].split("-"))), float(found[4] or 1e4)
    if found[3] is None:
        return Case(identities(widths, int(found[2])), n / math.log(n))
    first, second, rank = TRAINED[found[3]]
    lower, upper = identities(widths, widths[1])[0], identities(widths, rank)[1]
    return Case((first * lower, second * upper), n / math.log(n))


def identities(widths: tuple[int, ...], rank: int) -> tuple[Tensor, ...]:
    """Layers that are the identity on the first `rank` coordinates and zero elsewhere."""
    ones = (torch.arange(max(widths)) < rank).double().diag()
    return tuple(ones[:rows, :columns] for columns, rows in pairwise(widths))


def start(case: Case, chains: int, generator: Generator) -> list[Tensor]:
    """Half of the chains at w*, the second half SPREAD localization lengths away from it in every weight."""
    afar = (torch.arange(chains) >= chains // 2).double().reshape(-1, 1, 1) * SPREAD * case.gamma**-0.5
    return [w + afar * _randn(chains, *w.shape, generator=generator) for w in case.center]


def sweep(case: Case, layers: list[Tensor], generator: Generator) -> tuple[list[Tensor], Tensor]:
    """Redraw every layer given the others, then move along the orbits.

    Layer l has W = M + noise, with M and the precision p = nbeta a_i b_j + gamma from A = W_L ... W_{l+1},
    B = W_{l-1} ... W_1 and the eigenvalues a of A^T A, b of B B^T. K is averaged over that law, not over its draw:

        nbeta E[K | the others] = (nbeta/2) |A M B - T|^2 + sum_ij (1 - gamma / p_ij) / 2.

    Args:
        case: the posterior.
        layers: W_l, (C, width l, width l - 1).
        generator: the only thing advanced.

    Returns:
        The new layers, and (C,) nats: nbeta E[K | the others], the mean over the layers.
    """
    target, new, seen = reduce(lambda low, up: up @ low, case.center), list(layers), []
    above = [torch.eye(target.shape[0]).double()]
    for w in layers[:0:-1]:
        above.append(above[-1] @ w)
    below = torch.eye(target.shape[1]).double()
    for i, (center, a) in enumerate(zip(case.center, above[::-1], strict=True)):
        linear = case.nbeta * a.mT @ target @ below.mT + case.gamma * center
        mean, new[i], p = gaussian(
            a.mT @ a, below @ below.mT, linear, lambda x, y: case.nbeta * x * y + case.gamma, generator
        )
        misfit = (a @ mean @ below - target).square().sum((-2, -1))
        seen.append(0.5 * case.nbeta * misfit + 0.5 * (1 - case.gamma / p).sum((-2, -1)))
        below = new[i] @ below
    for _ in range(ORBITS):
        for i in range(len(new) - 1):
            new[i], new[i + 1] = orbit(new[i : i + 2], case.center[i : i + 2], case.gamma, generator)
    return new, torch.stack(seen).mean(0)


def gaussian(
    left: Tensor, right: Tensor, linear: Tensor, precision: Callable[[Tensor, Tensor], Tensor], generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw X = U Y V^T of density exp(-sum_ij p_ij Y_ij^2 / 2 + <linear, X>), left = U a U^T, right = V b V^T.

    Returns:
        The mean of X, a draw of X, and p_ij = precision(a_i, b_j).
    """
    (a, u), (b, v) = torch.linalg.eigh(left), torch.linalg.eigh(right)
    p = precision(a[..., :, None], b[..., None, :])
    mean = u.mT @ linear @ v / p
    draw = mean + _randn(*mean.shape, generator=generator) * p.rsqrt()
    return u @ mean @ v.mT, u @ draw @ v.mT, p


def orbit(
    pair: list[Tensor], center: tuple[Tensor, ...], gamma: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Move W_l -> G W_l, W_{l+1} -> W_{l+1} G^-1; only the localization and the volume change. In a random frame Q:

    stretch: G = Q diag(c) Q^T, c = +-exp(s xi), s of every size, accepted or not for each axis alone;
    shear:   G = Q (I + X) Q^T, X from the last half of the axes to the first, drawn exactly: the localization is
             quadratic in X, with precisions gamma (q_i + p_j), and det G = 1.

    All chains share the frame; given the frames they are still independent, so their spread is honest.
    """
    hidden = center[0].shape[0]
    frame = torch.linalg.qr(_randn(hidden, hidden, generator=generator)).Q
    low, up, low0, up0 = frame.mT @ pair[0], pair[1] @ frame, frame.mT @ center[0], center[1] @ frame
    shape = (low.shape[0], hidden)
    size = 3.0 * 100 ** -torch.rand(shape, generator=generator, dtype=torch.float64)
    sign = 1.0 - 2.0 * (torch.rand(shape, generator=generator) < 0.25).double()
    c = sign * (size * _randn(*shape, generator=generator)).exp()

    def localization(c: Tensor) -> Tensor:
        lower = (c[..., :, None] * low - low0).square().sum(-1)
        return 0.5 * gamma * (lower + (up / c[..., None, :] - up0).square().sum(-2))

    gain = localization(torch.ones_like(c)) - localization(c) + log_jacobian(c, low.shape[-1], up.shape[-2])
    c = torch.where(torch.rand(shape, generator=generator, dtype=torch.float64).log() < gain, c, 1.0)
    low, up = c[..., :, None] * low, up / c[..., None, :]
    if half := hidden // 2:
        head, tail = slice(None, half), slice(half, None)
        p, q = low[:, tail] @ low[:, tail].mT, up[..., head].mT @ up[..., head]
        linear = up[..., head].mT @ (up - up0)[..., tail] - (low - low0)[:, head] @ low[:, tail].mT
        _, x, _ = gaussian(q, p, gamma * linear, lambda q, p: gamma * (q + p), generator)
        low = torch.cat([low[:, head] + x @ low[:, tail], low[:, tail]], -2)
        up = torch.cat([up[..., head], up[..., tail] - up[..., head] @ x], -1)
    return frame @ low, up @ frame.mT


def log_jacobian(c: Tensor, columns: int, rows: int) -> Tensor:
    """Of a stretch by c: a row of W_l has `columns` entries, a column of W_{l+1} has `rows`."""
    return (columns - rows) * c.abs().log()


def _randn(*shape: int, generator: Generator) -> Tensor:
    """Standard normal, float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def sample(case: Case, chains: int, seed: int) -> Iterator[Tensor]:
    """After each BLOCK of sweeps, the record so far of nbeta E[K | all but one layer]: (sweeps, C) nats."""
    generator = Generator().manual_seed(seed)
    layers, record = start(case, chains, generator), []
    while True:
        for _ in range(BLOCK):
            layers, seen = sweep(case, layers, generator)
            record.append(seen)
        yield torch.stack(record)


def summarise(record: Tensor) -> Summary:
    """Drop the first fifth as burn-in; compare what is left between its halves, and between the two starts."""
    kept = record[len(record) // 5 :]
    means, half, count = kept.mean(0), len(kept) // 2, record.shape[1]
    error = means.std() / count**0.5
    near, far = means[: count // 2], means[count // 2 :]
    drift = kept[:half].mean(0) - kept[half:].mean(0)
    split = torch.cat([kept[:half], kept[-half:]], 1)
    rhat = ((half - 1) / half + split.mean(0).var() / split.var(0).mean()).sqrt()
    starts = (near.mean() - far.mean()) / (near.var() / len(near) + far.var() / len(far)).sqrt()
    halves = drift.mean() / (drift.std() / count**0.5)
    return Summary(*(x.item() for x in (means.mean(), error, rhat, starts, halves)))


def compute(name: str, limit: int = 100_000) -> dict[str, float | str]:
    """One entry: as many sweeps as TARGET and agreement ask for; SystemExit past `limit` sweeps."""
    began, posterior = time.perf_counter(), lookup(name)
    chains = 2 * (768 // max(max(w.shape) for w in posterior.center))
    records = sample(posterior, chains, zlib.crc32(name.encode()))
    while True:
        record = next(records)
        seen, sweeps = summarise(record), len(record)
        if seen.stderr <= TARGET * seen.value and seen.rhat < 1.01 and max(abs(seen.starts), abs(seen.halves)) < 2.5:
            break
        if sweeps >= limit:
            raise SystemExit(f"{name}: not settled after {sweeps} sweeps: {seen}")
    print(
        f"{name:22}{seen.value:10.4f} +- {seen.stderr:.4f}   R-hat {seen.rhat:.4f}   starts {seen.starts:+.1f}"
        f"   halves {seen.halves:+.1f}   {chains} x {sweeps}   {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    how = f"block Gibbs with orbit moves, {chains} chains x {sweeps} sweeps, split R-hat {seen.rhat:.4f}"
    terms = {"nbeta": posterior.nbeta, "gamma": posterior.gamma}
    return {"value": seen.value, "stderr": seen.stderr, **terms, "how": how}


def main() -> None:
    """Compute what is asked for, and keep each entry as soon as it is finished."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="what to compute anew; without names, all that is missing")
    words = parser.parse_args()
    torch.set_num_threads(1)
    done = json.loads(OUT.read_text()) if OUT.exists() else {}
    for name in words.names or [name for name in NAMES if name not in done]:
        done[name] = compute(name)
        OUT.parent.mkdir(exist_ok=True)
        OUT.with_suffix(".tmp").write_text(json.dumps(done, indent=1) + "\n")
        os.replace(OUT.with_suffix(".tmp"), OUT)


if __name__ == "__main__":
    main()
