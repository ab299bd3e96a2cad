"""Coverage and size of the exact certificate over simulated Alices off any grid.

    python benchmarks/certificate_coverage.py [--alices 1000] [--choices 200] [--sharpness 50]

Each Alice has a reward linear in 3 features, 10 states, 3 actions, and chooses by exp(sharpness Q / range); every
second one in three environments, of which her last action chooses the next. Bob is best for the mean normalised
reward of her confidence set. Printed: how often the set misses her, how often a certificate is below the realised
regret, and quantiles.
"""

import argparse
import time

import numpy as np
import torch
from joblib import Parallel, delayed

from thalweg.certificates import Composed, Regret, covered, supremum
from thalweg.recipes.alice_and_bob.alices import alice, bayes_bob

DELTA = 0.1


def one(seed: int, choices: int, sharpness: float) -> tuple[float, ...]:
    """Certificate, distance, realised regret, whether C holds her, whether the cover is complete."""
    torch.set_num_threads(1)
    behaviour, values, rule, theta = alice(seed, choices, sharpness, environments=1 + 2 * (seed % 2))
    cover, mdp = covered(behaviour, values, rule, DELTA), behaviour.environments[0]
    policy, reward = bayes_bob(cover, mdp)
    truth = values.reward(theta, mdp.actions)
    logs = [(rule.log_policy(w, truth) * behaviour.counts(e)).sum() for e, w in enumerate(behaviour.environments)]
    exact = supremum(cover, Regret(cover.reader.values, mdp, mdp.occupancy(policy))).bound
    apart = supremum(cover, Composed(cover.reader.values, mdp, reward, 0.0)).bound
    realised = float(mdp.regret(policy, truth, normalised=True))
    return exact, apart, realised, float(sum(logs)) >= cover.threshold, cover.complete


def main(alices: int, choices: int, sharpness: float) -> None:
    """Print one line of counts and one of quantiles."""
    began = time.perf_counter()
    rows = Parallel(n_jobs=2)(delayed(one)(seed, choices, sharpness) for seed in range(alices))
    exact, apart, realised, holds, complete = np.array(rows, dtype=float).T
    wrong = realised > exact + 1e-9
    print(
        f"{alices} Alices, n = {choices}, {sharpness:g} Q/range: the set misses {np.sum(holds == 0)}, the certificate"
        f" is exceeded {wrong.sum()} times, {np.sum(complete == 0)} covers are cut short,"
        f" {time.perf_counter() - began:.0f} s"
    )
    for name, x in (("certificate", exact), ("distance", apart), ("realised", realised)):
        print(f"  {name:11} mean {x.mean():.5f}  quantiles .1 .5 .9: {np.round(np.quantile(x, [0.1, 0.5, 0.9]), 5)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alices", type=int, default=1000)
    parser.add_argument("--choices", type=int, default=200)
    parser.add_argument("--sharpness", type=float, default=50.0)
    main(**vars(parser.parse_args()))
