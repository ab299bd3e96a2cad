"""Do choices depend on the choices before them? Score statistics of what counts of choices in states cannot show.

statistic      context c of a choice                     a wrong model
repeats        the action that was chosen before         p(a|s) h^[a = c], a habit: h > 1
alternates     the same                                  h < 1
repeats here   the action chosen here the time before    h > 1 or h < 1
drift          eighth of the record                      values or inverse temperature that move along the record

    U = sum_t w(c_t, s_t, a_t),    w = x - J b,    V = sum_t E w w^T

with x the slope of log p in the alternative (log h at 0), J in the class, and b the regression of x on J over all
choices: to first order U does not depend on the fit, and is locally most powerful. Contexts are of the recorded past,
so that U is a martingale whatever rule picks the states, also one that looks at past actions. Drift has x = g_k(c) J
and g_k(c) (log p - E log p), g_k = cos(k pi (c + 1/2) / 8), and sums U_k V_k^-1 U_k / k^2 over k = 1, 2, 3: a change
midway is mostly k = 1.                              R rows (c, s) that occur, A actions, M slopes, K data sets (row 0
is recorded, in the others choices are drawn from the fit, in the recorded states and contexts)
Source: Cox & Hinkley 1974, sec. 9.3; Hall & Heyde 1980, ch. 3 and 6; Nyblom 1989."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor

from thalweg.irl._scoring import jacobians
from thalweg.irl.behaviour import Behaviour
from thalweg.irl.goodness_of_fit._counts import Compared
from thalweg.irl.likelihood import Likelihood
from thalweg.rng import seed_of

DRAWS = 7999  # data sets; fewer where there are many rows
LEAST_DRAWS = 499
CELLS = 10**7  # choices of a row that are drawn in all, about
AT_ONCE = 10**6
PARTS, WAVES = 8, 3  # of a record, of drift
NONE = 1e-9  # of the variance of x: what is left of it when the class explains it
STILL = 1e-9  # nats: a weight that moves log p by less is a scale that does not matter, and rounding

Slopes = Callable[[Tensor, "_Fit", Tensor], Tensor]  # contexts (R,), the fit, states (R,) -> x (R, A, M)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Of an environment: probabilities (S, A), slopes (S, A, D), log p - E log p (S, A, 1)."""

    chance: Tensor
    slopes: Tensor
    sharper: Tensor


@dataclass(frozen=True, eq=False)
class _Rows:
    """Of an environment: counts (R, A), probabilities (R, A), x (R, A, M) and J (R, A, D), both of mean 0."""

    counts: Tensor
    chance: Tensor
    along: Tensor
    slopes: Tensor

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Sum over choices of E left right^T."""
        weight = self.counts.sum(-1, keepdim=True) * self.chance
        return torch.einsum("ra,ram,ran->mn", weight, left, right)


def by_order(behaviour: Behaviour, likelihood: Likelihood, point: Tensor, seed: int) -> Compared:
    """The statistics of recorded choices, whose most likely point (width,) is given."""
    fits = {}
    for e in likelihood.seen():
        logs, slopes = jacobians(likelihood, point[None], e)
        chance = logs[0].exp()
        sharper = logs[0] - (chance * logs[0]).sum(-1, keepdim=True)
        slopes = slopes[0].where(slopes[0].abs().amax((0, 1)) * (likelihood.values.bound or 1.0) > STILL, 0.0)
        fits[e] = _Fit(chance, slopes, sharper[..., None])
    where = {e: behaviour.where == e for e in fits}

    def studied(name: str, contexts: Tensor, slopes: Slopes) -> tuple[Tensor, Tensor]:
        rows = [_rows(behaviour.only(here), e, contexts[here], fits[e], slopes) for e, here in where.items()]
        return _scores(rows, np.random.default_rng(seed_of(seed, name)))

    eighths = torch.arange(len(behaviour)) * PARTS // len(behaviour)
    before = torch.cat([torch.tensor([-1]), behaviour.actions[:-1]])  # -1 of the first choice
    repeats = _standard(*studied("repeats", before, _same))
    return {
        "repeats": (repeats, False),
        "alternates": (-repeats, False),
        "repeats here": (_standard(*studied("repeats here", _before_here(behaviour), _same)), True),
        "drift": (_waves(*studied("drift", eighths, _moving)), False),
    }


def _before_here(behaviour: Behaviour) -> Tensor:
    """(n,) the action chosen in the same state the time before, -1 where it was not seen before."""
    largest = max(world.states for world in behaviour.environments)
    place = behaviour.where * largest + behaviour.states
    order = place.argsort(stable=True)
    new = torch.cat([torch.tensor([True]), place[order].diff() != 0])
    last = torch.where(new, -1, torch.cat([torch.tensor([-1]), behaviour.actions[order][:-1]]))
    return torch.empty_like(last).scatter(0, order, last)


def _same(contexts: Tensor, fit: _Fit, states: Tensor) -> Tensor:
    """Slopes (R, A, 1) in log h; an action that this process does not have is no habit in it."""
    return (contexts[:, None] == torch.arange(fit.chance.shape[1])).double()[..., None]


def _moving(contexts: Tensor, fit: _Fit, states: Tensor) -> Tensor:
    """Slopes (R, A, WAVES (D + 1)) of values and of inverse temperature that move along the record."""
    waves = torch.cos(torch.arange(1, WAVES + 1) * pi * (contexts[:, None] + 0.5) / PARTS).double()
    moved = torch.cat([fit.slopes, fit.sharper], -1)[states]
    return torch.einsum("rk,rad->rakd", waves, moved).flatten(2)


def _rows(chosen: Behaviour, environment: int, contexts: Tensor, fit: _Fit, slopes: Slopes) -> _Rows:
    """The choices of an environment by context and state."""
    count, actions = fit.chance.shape
    kinds, row = torch.unique((contexts + 1) * count + chosen.states, return_inverse=True)
    counts = torch.bincount(row * actions + chosen.actions, minlength=len(kinds) * actions).double()
    states = kinds % count
    chance, along = fit.chance[states], slopes(kinds // count - 1, fit, states)
    centred = along - torch.einsum("ra,ram->rm", chance, along)[:, None]
    return _Rows(counts.reshape(-1, actions), chance, centred, fit.slopes[states])


def _scores(rows: list[_Rows], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """U (K, M) and V (M, M); a slope that the class explains has neither."""
    own = _total(part.product(part.slopes, part.slopes) for part in rows)
    cross = _total(part.product(part.slopes, part.along) for part in rows)
    fitted = torch.linalg.pinv(own, hermitian=True, rtol=NONE) @ cross
    weights = [part.along - part.slopes @ fitted for part in rows]
    before = _total(part.product(part.along, part.along) for part in rows)
    variance = _total(part.product(w, w) for part, w in zip(rows, weights, strict=True))
    kept = (variance.diagonal() > NONE * before.diagonal()).double()
    draws = min(DRAWS, max(LEAST_DRAWS, CELLS // sum(part.counts.numel() for part in rows)))
    total = _total(_drawn(part, w * kept, draws, rng) for part, w in zip(rows, weights, strict=True))
    return total, variance * kept * kept[:, None]


def _total(parts: Iterable[Tensor]) -> Tensor:
    """Over environments."""
    return torch.stack(list(parts)).sum(0)


def _drawn(rows: _Rows, weights: Tensor, draws: int, rng: np.random.Generator) -> Tensor:
    """(1 + draws, M) sums of weights over recorded choices and over those that the fit makes in the same rows."""
    found = [torch.einsum("ra,ram->m", rows.counts, weights)[None]]
    chance = (rows.chance / rows.chance.sum(-1, keepdim=True)).numpy()
    visits = rows.counts.sum(-1).numpy().astype(np.int64)
    step = max(1, AT_ONCE // rows.counts.numel())
    for first in range(0, draws, step):
        made = rng.multinomial(visits, chance, (min(step, draws - first), len(visits)))
        found.append(torch.as_tensor(made).double().flatten(1) @ weights.flatten(0, 1))
    return torch.cat(found)


def _standard(score: Tensor, variance: Tensor) -> Tensor:
    """U / V^1/2, 0 where nothing can vary."""
    return score[:, 0] / variance[0, 0].sqrt() if variance[0, 0] > 0 else score[:, 0] * 0


def _waves(score: Tensor, variance: Tensor) -> Tensor:
    """Sum of U_k V_k^-1 U_k / k^2."""
    total, size = score.new_zeros(len(score)), len(variance) // WAVES
    for k in range(WAVES):
        part = slice(k * size, (k + 1) * size)
        inverse = torch.linalg.pinv(variance[part, part], hermitian=True, rtol=NONE)
        total += torch.einsum("km,mn,kn->k", score[:, part], inverse, score[:, part]) / (k + 1) ** 2
    return total
