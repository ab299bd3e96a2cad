"""What n choices of Alice buy: certificates of simulated Alices, and how they fall.      K Alices, T lengths n

Predicted at leading order: the mean exact certificate falls like lambda_A log n / n, the distance of values and T1
like its square root. One constant is fitted to each curve, and one slope in logarithms.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thalweg.certificates import Composed, Regret, covered, supremum
from thalweg.irl import Likelihood, behaviour_llc, information, most_likely
from thalweg.mdp import composed_bound
from thalweg.recipes._cache import all_cached
from thalweg.recipes._configuration import Configuration
from thalweg.recipes.alice_and_bob._alices import Simulated, alice, bayes_bob
from thalweg.rng import seed_of
from thalweg.runtime import threads

DELTA = 0.1  # of every confidence set
ROUNDING = 1e-9  # of the range, by which a realised regret may exceed a certificate
INTERVAL = (0.05, 0.95)
RESAMPLED = 2000
CURVES = ("exact", "distance", "t1")  # that have a prediction
COLOURS = {"exact": "#2f6690", "lp": "#8a6d3b", "distance": "#1b7f5c", "t1": "#c8553d", "realised": "0.45"}
NAMES = {"exact": "exact", "lp": "lp", "distance": "sup d", "t1": "T1", "realised": "realised", "rho": "ρ"}


class Choosers(Configuration):
    """Alices of one inverse temperature.

    Attributes:
        inverse_temperature: b, logits a return range.
        alices: how many; every second one in three environments.
        choices: lengths n at which a certificate is asked for, of the same recorded choices.
        share: of his range by which Bob may be suboptimal in T1.
        coefficients: Alices whose learning coefficient is estimated.
        lengths: n at which it is.
        draws: of each of four chains.
    """

    inverse_temperature: float
    alices: int
    choices: tuple[int, ...]
    share: float = 0.02
    coefficients: int
    lengths: tuple[int, ...]
    draws: int


@dataclass(frozen=True, eq=False)
class Simulations:
    """What choices of one inverse temperature buy.

    Attributes:
        choosers: who.
        curves: name -> (K, T): exact, distance, t1, realised, missed (1 where C lacks Alice's values), complete.
        coefficients: of each Alice and n that was asked: raw, stderr, verdict, n.
        llc: mean of the healthy ones; None where there is none.
        laws: curve -> its fitted slope and constant.
    """

    choosers: Choosers
    curves: dict[str, np.ndarray]
    coefficients: list[dict[str, Any]]
    llc: float | None
    laws: "dict[str, Law]"


@dataclass(frozen=True)
class Law:
    """How a mean curve falls beside (lambda log n / n)^power.

    Attributes:
        slope: of log mean against log n, by least squares.
        interval: 90 %, by bootstrap over Alices.
        predicted: slope of the prediction at the same n; without a lambda, of (log n / n)^power.
        constant: c of c (lambda log n / n)^power + floor, by the mean of logarithms; None without a lambda.
        worst: largest factor between the curve and the prediction; None without a lambda.
        floor: what no choice takes away: Bob's own suboptimality.
    """

    slope: float
    interval: tuple[float, float]
    predicted: float
    constant: float | None
    worst: float | None
    floor: float


def simulated(choosers: Choosers, out: Path, seed: int) -> Simulations:
    """Simulate Alices of one inverse temperature, certify Bob at each n, and fit."""
    folder, everyone = out / "choices" / f"b-{choosers.inverse_temperature:g}", range(choosers.alices)
    rows = all_cached([folder / f"alice-{k}.json" for k in everyone], partial(_curve, choosers, seed), everyone)
    pairs = [(k, n) for k in range(choosers.coefficients) for n in choosers.lengths]
    places = [folder / f"coefficient-{k}-{n}.json" for k, n in pairs]
    found = all_cached(places, partial(_coefficient, choosers, seed), *zip(*pairs, strict=True))
    curves = {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}
    healthy = [one["raw"] for one in found if one["verdict"] == "healthy"]
    llc = float(np.mean(healthy)) if healthy else None
    laws = {
        name: law(curves[name], choosers.choices, llc, seed, power=1.0 if name == "exact" else 0.5,
                  floor=choosers.share if name == "t1" else 0.0)
        for name in CURVES
    }  # fmt: skip
    return Simulations(choosers, curves, found, llc, laws)


def law(curve: np.ndarray, choices: Any, llc: float | None, seed: int, *, power: float, floor: float = 0.0) -> Law:
    """Fit a slope to a curve (K, T), whose means lie above the floor, and the constant of the prediction."""
    n = np.asarray(choices, dtype=float)
    rng = np.random.default_rng(seed_of(seed, "bootstrap of a slope"))
    picked = rng.integers(len(curve), size=(RESAMPLED, len(curve)))
    means = np.concatenate([curve.mean(0)[None], curve[picked].mean(1)])
    slopes = np.polyfit(np.log(n), np.log(means).T, 1)[0]
    base = np.log(n) / n
    drawn, constant, worst = base**power, None, None
    if llc is not None:
        shape = (llc * base) ** power
        constant = float(np.exp(np.log((means[0] - floor) / shape).mean()))
        drawn = constant * shape + floor
        worst = float(np.exp(np.abs(np.log(means[0] / drawn)).max()))
    predicted = float(np.polyfit(np.log(n), np.log(drawn), 1)[0])
    low, high = np.quantile(slopes[1:], INTERVAL)
    return Law(float(slopes[0]), (float(low), float(high)), predicted, constant, worst, floor)


def _person(choosers: Choosers, seed: int, number: int, n: int) -> Simulated:
    """One Alice; odd ones act in three environments."""
    own = seed_of(seed, "Alice", number)
    return alice(own, n, choosers.inverse_temperature, environments=1 + 2 * (number % 2))


def _curve(choosers: Choosers, seed: int, number: int) -> dict[str, list[float]]:
    """Certificates of one Alice at each n; the bits of a process of one thread."""
    with threads(1):
        person = _person(choosers, seed, number, max(choosers.choices))
        rows = [_at(person, n, choosers.share) for n in choosers.choices]
    return {name: [row[name] for row in rows] for name in rows[0]}


def _at(person: Simulated, n: int, share: float) -> dict[str, float]:
    """Certificates of the best Bob after n choices."""
    behaviour, values, choice_model, theta = person
    seen = behaviour.only(torch.arange(len(behaviour)) < n)
    cover, mdp = covered(seen, values, choice_model, DELTA), behaviour.environments[0]
    policy, reward = bayes_bob(cover, mdp)
    truth = values.reward(theta, mdp.actions)
    logs = [
        float((choice_model.log_policy(w, truth) * seen.counts(e)).sum()) for e, w in enumerate(seen.environments)
    ]
    size = float(mdp.return_range(reward))
    apart = supremum(cover, Composed(values, mdp, reward, 0.0)).bound
    return {
        "exact": min(supremum(cover, Regret(values, mdp, mdp.occupancy(policy))).bound, apart),
        "distance": apart,
        "t1": composed_bound(apart, share * size, size),
        "realised": max(float(mdp.regret(policy, truth, normalised=True)), 0.0),
        "missed": float(sum(logs) < cover.threshold),
        "complete": float(cover.complete),
    }


def _coefficient(choosers: Choosers, seed: int, number: int, n: int) -> dict[str, Any]:
    """The learning coefficient of one Alice's likelihood at n choices, by MALA at the step of its curvature."""
    with threads(1):
        person = _person(choosers, seed, number, n)
        likelihood = Likelihood.of(person.behaviour, person.values, person.choice_model)
        at = most_likely(likelihood, torch.Generator().manual_seed(0))
        visits = [counts.sum(-1) for counts in likelihood.counts]
        stiff = float(torch.linalg.eigvalsh(information(likelihood, at[None], visits)[0])[-1])
        found = behaviour_llc(
            likelihood,
            at,
            sampler="mala",
            chains=4,
            burn_in=choosers.draws // 4,
            draws=choosers.draws,
            step_size=np.log(n) / stiff,
        )  # fmt: skip  (nbeta / n = 1 / log n: one over the largest curvature of the sampled posterior)
    return {"number": number, "n": n, "raw": found.raw, "stderr": found.stderr, "verdict": str(found.verdict)}


def document(found: Simulations) -> dict[str, Any]:
    """For JSON; `docs/recipes/alice-and-bob.md` explains each name."""
    curves = found.curves
    return {
        "sharpness": found.choosers.inverse_temperature,
        "choices": list(found.choosers.choices),
        "alices": found.choosers.alices,
        **{name: curves[name].mean(0).tolist() for name in (*CURVES, "realised")},
        "median_exact": np.median(curves["exact"], 0).tolist(),
        "missed": curves["missed"].mean(0).tolist(),
        "ever_missed": float((curves["missed"] > 0).any(1).mean()),
        "exceeded": float((curves["realised"] > curves["exact"] + ROUNDING).any(1).mean()),
        "complete": float(curves["complete"].mean()),
        "llc": found.llc,
        "coefficients": found.coefficients,
        "laws": {name: asdict(one) for name, one in found.laws.items()},
    }
