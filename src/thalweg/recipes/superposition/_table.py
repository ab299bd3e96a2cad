"""The coefficient of every phase, at several n: estimate, theory, the quadratic part exactly, and the paper's."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jacrev

from thalweg.estimators import Auto, estimate_llc
from thalweg.landscape import potential
from thalweg.recipes._cache import all_cached
from thalweg.recipes._configuration import Configuration
from thalweg.rng import seed_of
from thalweg.runtime import threads
from thalweg.theory import superposition_gon, superposition_loss

BEYOND = -4.0  # bias of dead columns: the loss is the same, and the localization does not reach zero
PAPER = {"6": "9.03 ± 0.59", "5+": "9.91 ± 1.27", "5": "7.71 ± 0.85"}  # its table K.1, n = 5000
PAPER_THEORY = {"4+": 5.0}  # that its critical n of 380 needs
AGREES = 0.03  # of the theory


class Phases(Configuration):
    """Which phases are estimated, and how.

    Attributes:
        phases: (corners, zero columns of positive bias).
        samples: n, each phase at each.
        auto: how; the sampler is HMC, as a potential's gradient is exact.
    """

    phases: tuple[tuple[int, int], ...]
    samples: tuple[int, ...]
    auto: Auto


@dataclass(frozen=True)
class Reading:
    """One phase at one n.

    Attributes:
        phase: name, such as 5+.
        n: samples.
        nbeta: n/log n.
        gamma: of the localization.
        loss: L, nats per sample.
        theory: asymptotic lambda.
        quadratic: the exact value at this nbeta and gamma if K were its Hessian's parabola; None for the 4-gons,
            whose Hessian jumps.
        llc: estimate, None where unhealthy.
        raw: the number behind it.
        stderr: of it.
        verdict: of it.
        reasons: for the verdict.
    """

    phase: str
    n: int
    nbeta: float
    gamma: float
    loss: float
    theory: float
    quadratic: float | None
    llc: float | None
    raw: float
    stderr: float
    verdict: str
    reasons: tuple[str, ...]

    @property
    def agrees(self) -> bool | None:
        """Whether the estimate is within 3 % of the theory; None where there is no estimate."""
        return None if self.llc is None else abs(self.llc / self.theory - 1) <= AGREES


def read(features: int, phases: Phases, folder: Path, seed: int) -> list[Reading]:
    """Estimate all, in as many processes as there are cores; what is on disk is read."""
    jobs = [(k, s, n) for n in phases.samples for k, s in phases.phases]
    places = [folder / f"{k}{'+' * s}-{n}.json" for k, s, n in jobs]
    found = all_cached(places, partial(_estimated, features, phases.auto, seed), *zip(*jobs, strict=True))
    return [Reading(**fields | {"reasons": tuple(fields["reasons"])}) for fields in found]


def _estimated(features: int, auto: Auto, seed: int, k: int, positive: int, n: int) -> dict[str, Any]:
    """Fields of `Reading` for one phase at one n."""
    weights, biases = superposition_loss.gon(features, k, positive)
    biases = torch.where(biases == superposition_loss.DEAD, BEYOND, biases)
    name = f"{k}{'+' * positive}"
    with threads(1):
        scape = potential(lambda p: superposition_loss.loss(p["W"], p["b"]), {"W": weights, "b": biases}, n)
        found = estimate_llc(scape, auto, seed=seed_of(seed, "phase", name, n))
    nbeta, gamma = found.settings["nbeta"], found.settings["gamma"]
    return {
        "phase": name,
        "n": n,
        "nbeta": nbeta,
        "gamma": gamma,
        "loss": float(superposition_loss.loss(weights, biases)),
        "theory": float(superposition_gon(features, k, positive).llc),
        "quadratic": None if k == 4 else _quadratic(weights, biases, nbeta, gamma),
        "llc": found.raw if found.verdict == "healthy" else None,
        "raw": found.raw,
        "stderr": found.stderr,
        "verdict": str(found.verdict),
        "reasons": found.reasons,
    }


def _quadratic(weights: Tensor, biases: Tensor, nbeta: float, gamma: float) -> float:
    """sum_i (1/2) nbeta h_i / (nbeta h_i + gamma) over the eigenvalues of the Hessian."""
    shape = weights.shape
    slope = grad(lambda w: superposition_loss.loss(w[: math.prod(shape)].reshape(shape), w[math.prod(shape) :]))
    stiff = nbeta * torch.linalg.eigvalsh(jacrev(slope)(torch.cat([weights.flatten(), biases]))).clamp(min=0)
    return float((stiff / (stiff + gamma)).sum() / 2)
