"""Deep linear networks of up to 10^8 weights: is the estimate right, does a bad one say so, what does a step cost?

    python benchmarks/scale.py [cost|right|ill|huge ...]

`right`: 4 layers of 1581 x 1581, rank 1423 with unit singular values, n = 10^7, against the closed form.
`ill`: the same with singular values from 1 to 10^-3 of the product: its slow modes are still filling, and the
verdict has to say so. `cost`: seconds of a step from 10^3 to 10^8 weights. `huge`: 200 steps of 10^8 weights.
"""

import json
import resource
import sys
import time
from typing import Any

import torch

import thalweg as tw
from thalweg import theory
from thalweg.landscape import Landscape
from thalweg.types import Params

N = 10_000_000


def network(width: int, singular: torch.Tensor) -> Landscape:
    """K = |W4 W3 W2 W1 - T|^2 / 2, every layer diag(singular^(1/4)), float32."""
    diagonal = torch.zeros(width)
    diagonal[: len(singular)] = singular**0.25
    truth = torch.diag(diagonal**4)

    def excess(params: Params) -> torch.Tensor:
        found = params["W1"]
        for name in ("W2", "W3", "W4"):
            found = params[name] @ found
        return 0.5 * (found - truth).square().sum()

    return tw.potential(excess, {f"W{i}": torch.diag(diagonal) for i in range(1, 5)}, N)


def estimate(width: int, singular: torch.Tensor, **changes: Any) -> dict:
    """Estimate, and hold against the closed form."""
    began = time.monotonic()
    truth = float(theory.deep_linear([width] * 5, rank=len(singular)).llc)
    found = tw.estimate_llc(network(width, singular), chains=2, threads=torch.get_num_threads(), **changes)
    return {
        "weights": 4 * width**2,
        "llc_true": truth,
        "ratio": found.raw / truth,
        "stderr": found.stderr,
        "verdict": str(found.verdict),
        "reasons": found.reasons,
        "gradients": found.settings["gradients"],
        "seconds": round(time.monotonic() - began),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def cost(widths: list[int], steps: int) -> list[dict]:
    """Seconds of a step of one chain, full gradient."""
    rows = []
    for width in widths:
        landscape = network(width, torch.ones(int(0.9 * width)))
        settings = tw.Settings(sampler="sghmc", chains=1, burn_in=0, draws=max(8, steps), step_size=1e-9)
        began = time.monotonic()
        tw.estimate_llc(landscape, settings, threads=torch.get_num_threads())
        seconds = (time.monotonic() - began) / max(8, steps)
        rows.append(
            {
                "weights": 4 * width**2,
                "seconds_a_step": seconds,
                "nanoseconds_a_weight": 1e9 * seconds / (4 * width**2),
                "gflops": 9 * 2 * width**3 / seconds / 1e9,
                "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Run what is named, or all."""
    for name in sys.argv[1:] or ["cost", "right", "ill", "huge"]:
        if name == "cost":
            cost([16, 50, 158, 500, 1581], 20)
        elif name == "right":
            print(json.dumps(estimate(1581, torch.ones(1423))), flush=True)
        elif name == "ill":
            print(json.dumps(estimate(1581, torch.logspace(0, -3, 1423), budget=400)), flush=True)
        elif name == "huge":
            cost([5000], 200)
        elif name == "small":  # the same shapes in a minute
            print(json.dumps(estimate(400, torch.ones(360))), flush=True)
            print(json.dumps(estimate(400, torch.logspace(0, -3, 360), budget=400)), flush=True)


if __name__ == "__main__":
    main()
