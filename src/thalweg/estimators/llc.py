"""The local learning coefficient:  llc = nbeta (E_posterior[L_n(w)] - L_n(w*)).

The expectation is read from paired differences L_B(w) - L_B(w*) on the same batch. Their mean over
batches is the same, since E L_B(w*) = L_n(w*), and their variance lower by orders of magnitude.
Source: Lau et al. 2023 (arXiv 2308.12108), eq. 15.
"""

from typing import Any

import numpy as np

from thalweg.estimators.health import Health, diagnose
from thalweg.landscape import Estimate, Landscape, Trace, measure
from thalweg.samplers import Block, Engine, Settings, advance, chunks, start, threads, width


def estimate_llc(landscape: Landscape, settings: Settings | None = None, **changes: Any) -> Estimate:
    """Estimate the LLC at the landscape's w*.

    Args:
        landscape: from `tw.landscape` or `tw.potential`, restricted or not.
        settings: of the sampler; default `Settings()`.
        **changes: single settings, e.g. `step_size=1e-4, chains=8`.

    Returns:
        The estimate, with its trace. It never raises for health: `.value` of an unhealthy one does,
        `.raw` is always there.

    Raises:
        InputError: a setting out of its range, a loss that is not finite at w*.
    """
    chosen = Settings.of(settings, **changes).resolve(landscape.n, len(landscape.data) if landscape.data else None)
    center = measure(landscape)
    with threads(chosen.threads):
        loss, excess = _sample(landscape, chosen, chunks([center], [0], chosen.chains, width(landscape)))
    return estimate(trace(loss, excess, chosen, center.loss), chosen, landscape)


def _sample(landscape: Landscape, settings: Settings, parts: list) -> tuple[np.ndarray, np.ndarray]:
    """Losses and excess (R, steps) of every replica, in this process."""
    engine = Engine(landscape, compiled=settings.compile)
    rows = []
    for chunk in parts:
        state, blocks = start(chunk), []
        while state.step < settings.steps:
            state, block = advance(engine, settings, chunk, state)
            blocks.append(block)
        rows.append(Block.join(blocks))
    seen = Block.join(rows, axis=0)
    return seen.loss.cpu().numpy(), seen.excess.cpu().numpy()


def trace(loss: np.ndarray, excess: np.ndarray, settings: Settings, baseline: float) -> Trace:
    """Cut burn-in off the losses (C, steps) of one checkpoint."""
    cut = settings.burn_in
    return Trace(loss[:, cut:], excess[:, cut:], loss[:, :cut], excess[:, :cut], baseline)


def estimate(seen: Trace, settings: Settings, landscape: Landscape) -> Estimate:
    """Turn a trace into an estimate.

    Args:
        seen: the trace of one checkpoint.
        settings: resolved, that it was sampled with.
        landscape: that it was sampled in.
    """
    health: Health = diagnose(seen.excess, seen.burn_in_excess)
    assert settings.nbeta is not None
    return Estimate(
        raw=settings.nbeta * health.mean,
        stderr=settings.nbeta * health.stderr,
        rhat=health.rhat,
        ess=health.ess,
        verdict=health.verdict,
        reasons=health.reasons,
        settings=describe(settings, landscape),
        trace=seen,
    )


def describe(settings: Settings, landscape: Landscape) -> dict[str, Any]:
    """All that an estimate was made with, for people and for JSON."""
    restriction = landscape.restriction
    return {
        **settings.model_dump(),
        "n": landscape.n,
        "weights": landscape.layout.width,
        "engine": landscape.engine,
        "engine_reason": landscape.engine_reason,
        "masked": sorted(restriction.masks or {}),
        "orthogonal_to_gradient": restriction.orthogonal_to_gradient,
    }
