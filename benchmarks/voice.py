"""How often an estimate with nothing set has a value, and how right it is: closed forms at n = 10^3 to 10^7.

Every truth is nbeta E[K] under the localized posterior at that n, nbeta and gamma. Give parts of names to run those
alone; `--seeds K` repeats each with K seeds. One thread.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch

import thalweg as tw
from thalweg.check import _models as models
from thalweg.theory import finite

SIZES = [10**k for k in range(3, 8)]
STIFF, SLOW = [1.0] * 13, [1.0] * 8 + [3e-4] * 9
SPREAD = [10 ** (2 * i / 59 - 1) for i in range(60)]
Make = Callable[[int], tw.Landscape]
Truth = Callable[[float, float], float]


def vector(loss: Callable, dims: int) -> Make:
    """A function of so many weights, at 0."""
    zero = torch.zeros(dims, dtype=torch.float64)
    return lambda n: tw.potential(lambda p: loss(p["w"]), {"w": zero}, n)


def quadratic(curvatures: list[float]) -> tuple[Make, Truth]:
    """Half of a sum of squares."""
    h = torch.tensor(curvatures, dtype=torch.float64)
    make = vector(lambda w: 0.5 * (h * w.square()).sum(), len(curvatures))
    return make, lambda nbeta, gamma: finite.regular(curvatures, nbeta, gamma)


def monomial(*halves: int) -> tuple[Make, Truth]:
    """w1^2k1 w2^2k2 ..."""
    powers = torch.tensor(halves)
    make = vector(lambda w: w.square().pow(powers).prod(), len(halves))
    return make, lambda nbeta, gamma: finite.monomial(halves, nbeta, gamma)


def origin(inputs: int, hidden: int, outputs: int) -> tuple[Make, Truth]:
    """A linear network of one hidden layer whose truth is 0."""
    widths = (inputs, hidden, outputs)
    make = lambda n: models.linear_network(models.matrices(widths, 0), n)  # noqa: E731
    return make, lambda nbeta, gamma: finite.reduced_rank_origin(inputs, hidden, outputs, nbeta, gamma)


CASES: dict[str, tuple[Make, Truth]] = {
    "13 equal directions": quadratic(STIFF),
    "60 directions, 0.1 to 10": quadratic(SPREAD),
    "8 stiff and 9 slow directions": quadratic(SLOW),
    "w^6": monomial(3),
    "w1^2 w2^2": monomial(1, 1),
    "w1^2 w2^4": monomial(1, 2),
    "w1^4 w2^6": monomial(2, 3),
    "4-2-4 at rank 0": origin(4, 2, 4),
    "3-5-2 at rank 0": origin(3, 5, 2),
}


def main() -> None:
    """Print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("names", nargs="*")
    asked.add_argument("--seeds", type=int, default=1)
    given = asked.parse_args()
    torch.set_num_threads(1)
    errors, scores, count = [], [], 0
    print("| case | n | truth | estimate | error | verdict | gradients | CPU s |\n|" + " --- |" * 8)
    for name, (make, truth) in CASES.items():
        if given.names and not any(part in name for part in given.names):
            continue
        for n in SIZES:
            for seed in range(given.seeds):
                began = time.process_time()
                found = tw.estimate_llc(make(n), seed=seed, progress=False)
                spent, right = time.process_time() - began, truth(found.settings["nbeta"], found.settings["gamma"])
                count += 1
                if found.healthy:
                    errors.append(abs(found.raw / right - 1))
                    scores.append(abs(found.raw - right) / found.stderr)
                reading = f"{found.raw:.4f} +- {found.stderr:.4f} | {found.raw / right - 1:+.2%} | {found.verdict}"
                cost = f"{found.settings['gradients']} | {spent:.1f}"
                print(f"| {name} | 1e{math.log10(n):.0f} | {right:.4f} | {reading} | {cost} |", flush=True)
    held = sum(score < 1.96 for score in scores) / max(len(scores), 1)
    print(
        f"\n{len(errors)} of {count} have a value; median error {statistics.median(errors):.2%}, largest"
        f" {max(errors):.2%}; {held:.0%} of the 95 % intervals hold the truth"
    )


if __name__ == "__main__":
    main()
