"""Deep linear networks of up to 10^8 weights: is the estimate right, does a bad one say so, what does a step cost?

    python benchmarks/scale.py [cost|right|ill|small ...]

`right`: 4 layers of 1581 x 1581, rank 1423 with unit singular values, n = 10^7, against the closed form.
`ill`: the same with singular values from 1 to 10^-3 of the product: its slow modes are still filling, and the
verdict has to say so. `cost`: a step from 10^3 to 10^8 weights, where 200 steps are taken.
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
SAMPLES, BATCH = 1024, 64


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


def cost(width: int, steps: int) -> dict:
    """Seconds of a step of one chain: a module of 4 layers on batches, SGHMC, in float32.

    Two runs of different length are subtracted, so that building and the first look at the data drop out.
    """
    generator = torch.Generator().manual_seed(0)
    layers = [torch.nn.Linear(width, width, bias=False) for _ in range(4)]
    inputs = torch.randn(SAMPLES, width, generator=generator)
    module = torch.nn.Sequential(*layers)
    with torch.no_grad():
        targets = module(inputs)
    landscape = tw.landscape(module, (inputs, targets), "mse")
    chains = 16 if landscape.engine == "batched" else 1
    seconds = []
    for draws in (8, 8 + steps):
        began = time.monotonic()
        tw.estimate_llc(
            landscape,
            sampler="sghmc",
            chains=chains,
            burn_in=0,
            draws=draws,
            step_size=1e-12,
            batch_size=BATCH,
            threads=1 if chains > 1 else torch.get_num_threads(),
        )
        seconds.append(time.monotonic() - began)
    pace = (seconds[1] - seconds[0]) / steps / chains
    return {
        "weights": 4 * width**2,
        "steps": steps,
        "chains": chains,
        "seconds_a_step": pace,
        "nanoseconds_a_weight": 1e9 * pace / (4 * width**2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    """Run what is named, or all."""
    for name in sys.argv[1:] or ["cost", "right", "ill"]:
        if name == "cost":
            cost(16, 100)  # imports
            for width, steps in ((16, 4000), (50, 2000), (158, 500), (500, 200), (1581, 100), (5000, 200)):
                print(json.dumps(cost(width, steps)), flush=True)
        elif name == "right":
            print(json.dumps(estimate(1581, torch.ones(1423))), flush=True)
        elif name == "ill":
            print(json.dumps(estimate(1581, torch.logspace(0, -3, 1423), budget=400)), flush=True)
        elif name == "small":  # the same shapes in a minute
            print(json.dumps(estimate(400, torch.ones(360))), flush=True)
            print(json.dumps(estimate(400, torch.logspace(0, -3, 360), budget=400)), flush=True)


if __name__ == "__main__":
    main()
