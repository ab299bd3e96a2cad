"""Coverage and size of the exact certificate over simulated Alices off any grid.

    python benchmarks/certificate_coverage.py [--alices 1000] [--choices 200] [--delta 0.1] [--process small]
        [--inverse temperature 50] [--distance] [--first 0] [--jobs 2] [--rows rows.jsonl]

Each Alice has a reward linear in 3 features and chooses by exp(inverse temperature Q / range); every second one in
three environments, of which her last action chooses the next. Bob is best for the mean normalised reward of her
confidence set. An Alice is her number and the settings, whatever runs beside her: with --rows what is there
already is not computed again, and a long run can be made in parts (--first 0, --first 1000, ...), at once or one
after another.

The last line is JSON, of all rows of these settings: how often the set misses her, how often a certificate is below
the realised regret, whether so many contradict delta at 95 % (Clopper & Pearson), and medians.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.stats import binomtest

from thalweg.certificates import Composed, Regret, covered, supremum
from thalweg.recipes.alice_and_bob._alices import alice, bayes_bob

PROCESSES = {
    "small": {"states": 10, "actions": 3, "discount": 0.9},
    "long": {"states": 12, "actions": 2, "discount": 0.97},
}
ROUNDING = 1e-9  # of the range, by which a realised regret may exceed its bound


def one(
    number: int, process: str, choices: int, inverse_temperature: float, delta: float, distance: bool
) -> dict[str, Any]:
    """Certificate, distance where it is asked for, realised regret, whether C misses her, whether it is whole."""
    torch.set_num_threads(1)
    size: Any = PROCESSES[process]
    behaviour, values, choice_model, theta = alice(
        number, choices, inverse_temperature, environments=1 + 2 * (number % 2), **size
    )
    cover, mdp = covered(behaviour, values, choice_model, delta), behaviour.environments[0]
    policy, reward = bayes_bob(cover, mdp)
    truth = values.reward(theta, mdp.actions)
    logs = [
        (choice_model.log_policy(w, truth) * behaviour.counts(e)).sum() for e, w in enumerate(behaviour.environments)
    ]
    exact = supremum(cover, Regret(cover.reader.values, mdp, mdp.occupancy(policy))).bound
    apart = supremum(cover, Composed(cover.reader.values, mdp, reward, 0.0)).bound if distance else None
    return {
        "number": number,
        "certificate": exact,
        "distance": apart,
        "realised": float(mdp.regret(policy, truth, normalised=True)),
        "missed": bool(float(sum(logs)) < cover.threshold),
        "complete": bool(cover.complete),
    }


def binomial(failures: int, runs: int, delta: float) -> dict[str, Any]:
    """Failures, and whether so many contradict a chance of at most delta; bounds of the chance, each at 95 %."""
    test = binomtest(failures, runs, delta, alternative="greater")
    low = test.proportion_ci(0.95).low
    high = binomtest(failures, runs, delta, alternative="less").proportion_ci(0.95).high
    return {
        "count": failures,
        "share": failures / runs,
        "chance": [low, high],
        "at_most_delta": bool(test.pvalue > 0.05),
    }


def summary(rows: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """For JSON."""
    exceeded = sum(row["realised"] > row["certificate"] + ROUNDING for row in rows)
    quantiles = {
        name: np.quantile([row[name] for row in rows], [0.1, 0.5, 0.9]).tolist()
        for name in ("certificate", "distance", "realised")
        if name != "distance" or settings["distance"]
    }
    return {
        **settings,
        "alices": len(rows),
        "missed": binomial(sum(row["missed"] for row in rows), len(rows), settings["delta"]),
        "exceeded": binomial(exceeded, len(rows), settings["delta"]),
        "incomplete": sum(not row["complete"] for row in rows),
        "median": quantiles["certificate"][1],
        "quantiles_10_50_90": quantiles,
    }


def kept(file: Path | None, settings: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Rows of these settings that a file holds, by the Alice's number; a line that was cut is none."""
    found = {}
    for line in file.read_text().splitlines() if file is not None and file.exists() else ():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if {name: row.get(name) for name in settings} == settings:
            found[row["number"]] = row
    return found


def main(alices: int, first: int, jobs: int, file: Path | None, settings: dict[str, Any]) -> None:
    """Print a line of time, and one of JSON."""
    began, done = time.perf_counter(), kept(file, settings)
    missing = [number for number in range(first, first + alices) if number not in done]
    run: Any = Parallel(n_jobs=jobs, return_as="generator_unordered")
    for row in run(delayed(one)(number, **settings) for number in missing):
        done[row["number"]] = row
        if file is not None:
            with file.open("a") as out:
                out.write(json.dumps(settings | row) + "\n")
    print(f"{len(missing)} Alices in {time.perf_counter() - began:.0f} s, {len(done) - len(missing)} were there")
    print(json.dumps(summary([done[number] for number in sorted(done)], settings)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alices", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first Alice")
    parser.add_argument("--choices", type=int, default=200)
    parser.add_argument("--delta", type=float, default=0.1)
    parser.add_argument("--process", choices=PROCESSES, default="small")
    parser.add_argument("--sharpness", type=float, default=50.0)
    parser.add_argument("--distance", action="store_true", help="the distance of values too, about as long again")
    parser.add_argument("--jobs", type=int, default=2, help="processes, each of one thread")
    parser.add_argument("--rows", type=Path, help="file of rows, read before and added to")
    given = vars(parser.parse_args())
    asked = {name: given.pop(name) for name in ("process", "choices", "sharpness", "delta", "distance")}
    main(given["alices"], given["first"], given["jobs"], given["rows"], asked)
