"""Do choice probabilities fit? Statistics of counts, of held-out choices against a fit on the others, and of all.

statistic     what is compared                                                       large where
log-loss      held-out log loss and its expectation, in standard deviations          choices too random, too sharp
bins          held-out hits in bins of predicted probability, sum (O - E)^2 / Var    probabilities off at some level
saturated     all choices: 2 sum c log(c / (n p)), likelihood ratio against one      anything the class cannot fit
              free probability for each state and action

Weights are fitted, so each is compared with itself on data simulated from the fitted model in the recorded states and
fitted anew (parametric bootstrap).                          S states, A actions, K data sets (row 0 is recorded)
Source: Efron & Tibshirani 1993, ch. 16; Davison & Hinkley 1997, sec. 4.4."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from thalweg.irl._scoring import climbed, most_likely
from thalweg.irl.likelihood import Likelihood
from thalweg.rng import seed_of, stream

EDGES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 0.99, 1.0)
ROUNDS = 15  # of a fit of simulated choices, which begins at the truth

Compared = dict[str, tuple[Tensor, bool]]  # by statistic: (K,) values, and whether both tails count


def by_counts(
    whole: Likelihood, parts: Sequence[Sequence[Tensor]], replicates: int, seed: int
) -> tuple[Compared, Tensor]:
    """The statistics, and the point (width,) fitted to all choices.

    Parts are the training and the held-out choices: counts (S, A) of each environment.
    """
    sets, fits = _simulated(whole, parts, replicates, seed)
    return _compared(whole, sets, fits), fits[1][0]


def _simulated(
    whole: Likelihood, parts: Sequence[Sequence[Tensor]], replicates: int, seed: int
) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Counts (K, S, A) of training and held-out choices by environment; points (K, width) fitted to training and all.

    Row 0 is recorded, the others come from the fit to all choices.
    """
    own = stream(seed, "fits")
    train = most_likely(whole.with_counts(parts[0]), own)
    best = most_likely(whole, own)
    rng = np.random.default_rng(seed_of(seed, "replicates"))
    sets: list[list[Tensor]] = [[], []]
    for e in range(len(whole.counts)):
        for part, column in zip(parts, sets, strict=True):
            recorded = part[e]
            if not recorded.any():
                column.append(torch.zeros(replicates + 1, *recorded.shape, dtype=torch.float64))
                continue
            chance = whole.log_policy(best, e).exp().numpy()
            visits = recorded.sum(-1).numpy().astype(np.int64)
            drawn = rng.multinomial(visits, chance / chance.sum(-1, keepdims=True), (replicates, len(visits)))
            column.append(torch.cat([recorded[None], torch.as_tensor(drawn).double()]))
    fits = []
    for recorded, counts in ((train, sets[0]), (best, [a + b for a, b in zip(*sets, strict=True)])):
        points = best.expand(replicates, -1)
        points, _ = climbed(whole, points, [c[1:] for c in counts], ROUNDS)
        fits.append(torch.cat([recorded[None], points]))
    return sets, fits


def _compared(whole: Likelihood, sets: list[list[Tensor]], fits: list[Tensor]) -> Compared:
    """Of data sets and their fits."""
    shape = fits[0].shape[:1]
    off, variance, ratio = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
    hits, expected, noise = (torch.zeros(*shape, len(EDGES) - 1, dtype=torch.float64) for _ in range(3))
    for e in whole.seen():
        held, every = sets[1][e], sets[0][e] + sets[1][e]
        with torch.no_grad():
            logs, all_logs = (whole.log_policy(points, e) for points in fits)
        chance, visits = logs.exp(), held.sum(-1, keepdim=True)
        mean = (chance * logs).sum(-1, keepdim=True)
        off += ((visits * chance - held) * logs).sum((-1, -2))
        variance += (visits * chance * (logs - mean).square()).sum((-1, -2))
        bins = torch.bucketize(chance, torch.tensor(EDGES[1:-1], dtype=torch.float64)).flatten(1)
        for total, part in ((hits, held), (expected, visits * chance), (noise, visits * chance * (1 - chance))):
            total.scatter_add_(1, bins, part.flatten(1))
        shares = torch.where(every > 0, every / every.sum(-1, keepdim=True).clamp(min=1), 1.0)
        ratio += 2 * (every * (shares.log() - all_logs)).sum((-1, -2))
    tiny = 1e-12  # a bin of certain choices: no deviation, or one beyond any noise
    return {
        "log-loss": (off / (variance + tiny).sqrt(), True),
        "bins": (((hits - expected).square() / (noise + tiny)).sum(-1), False),
        "saturated": (ratio, False),
    }
