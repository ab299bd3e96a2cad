"""Do estimates on batches agree with HMC on the gradient of the full data?

    python benchmarks/minibatch.py [RUN]

A linear network 8-3-3-6 of rank 3 on 10^5 noisy samples, and, where RUN holds the checkpoints of
`thalweg recipe run modular-addition`, three of them. Each by `full_gradient=False` and by HMC with 4 chains of up
to 4,000 gradients; both to a relative error of 2.5 %, under one gamma.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import thalweg as tw
from thalweg.check._models import half_square
from thalweg.landscape import Landscape
from thalweg.recipes.modular_addition import Adder
from thalweg.rng import stream


def linear(samples: int) -> Landscape:
    """8-3-3-6 at the minimum of the full data: the best map of rank 3, balanced over the layers."""
    g = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, 8, generator=g, dtype=torch.float64)
    truth = torch.zeros(6, 8, dtype=torch.float64)
    truth[:3, :3] = torch.eye(3)
    targets = inputs @ truth.T + torch.randn(samples, 6, generator=g, dtype=torch.float64)
    cholesky = torch.linalg.cholesky(inputs.T @ inputs / samples)
    fitted = torch.linalg.lstsq(inputs, targets).solution.T
    u, s, v = torch.linalg.svd(fitted @ cholesky, full_matrices=False)
    root = s[:3] ** (1 / 3)
    layers = [nn.Linear(*shape, bias=False).double() for shape in ((8, 3), (3, 3), (3, 6))]
    with torch.no_grad():
        layers[0].weight.copy_(root[:, None] * torch.linalg.solve(cholesky, v[:3], left=False))
        layers[1].weight.copy_(torch.diag(root))
        layers[2].weight.copy_(u[:, :3] * root)
    return tw.landscape(nn.Sequential(*layers), (inputs, targets), half_square)


def addition(run: Path) -> list[tuple[str, Landscape]]:
    """Steps 540, 900 and 1500 of the recipe at seed 0."""
    pairs = torch.cartesian_prod(torch.arange(53), torch.arange(53))
    order = torch.randperm(53 * 53, generator=stream(0, "split"))[: int(0.95 * 53 * 53)]
    data = (pairs[order], pairs[order].sum(1) % 53)
    scape = tw.landscape(Adder(53, 12, 48), data, F.cross_entropy).restrict(orthogonal_to_gradient=True)
    chosen = [c for c in tw.checkpoints(run / "checkpoints") if c.step in (540, 900, 1500)]
    return [(f"addition, step {c.step}", scape.at(c.load())) for c in chosen]


def compare(name: str, scape: Landscape, gamma: float) -> dict[str, Any]:
    """Both ways, and the distance in joint standard errors."""
    row: dict[str, Any] = {"name": name}
    for key, changes in {
        "batches": {"full_gradient": False, "budget": 500},
        "full": {"full_gradient": True, "chains": 4, "budget": 4000},
    }.items():
        began = time.monotonic()
        found = tw.estimate_llc(scape, rtol=0.025, gamma=gamma, progress=False, **changes)
        print(f"{name}: {key}: {found!r}", file=sys.stderr, flush=True)
        row[key] = {
            "llc": found.raw,
            "stderr": found.stderr,
            "verdict": str(found.verdict),
            "sampler": found.settings["sampler"],
            "control_variates": found.settings["control_variates"],
            "gradients": found.settings["gradients"],
            "seconds": round(time.monotonic() - began, 1),
        }
    joint = math.hypot(row["batches"]["stderr"], row["full"]["stderr"])
    row["distance"] = (row["batches"]["llc"] - row["full"]["llc"]) / joint
    return row


def main() -> None:
    """Print one document a line."""
    print(json.dumps(compare("linear 8-3-3-6, n = 10^5", linear(100_000), 100.0)), flush=True)
    if len(sys.argv) > 1:
        for name, scape in addition(Path(sys.argv[1])):
            print(json.dumps(compare(name, scape, 5.0)), flush=True)


if __name__ == "__main__":
    main()
