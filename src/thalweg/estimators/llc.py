"""The local learning coefficient:  llc = nbeta (E_posterior[L_n(w)] - L_n(w*)).

The expectation is read from paired differences L_B(w) - L_B(w*) on the same batch. Their mean over
batches is the same, since E L_B(w*) = L_n(w*), and their variance lower by orders of magnitude.
Source: Lau et al. 2023 (arXiv 2308.12108), eq. 15.
"""

from typing import Any, Literal

import numpy as np

from thalweg.estimators.calibration import Auto, settle
from thalweg.estimators.health import Health, diagnose
from thalweg.estimators.progress import bar
from thalweg.landscape import Center, Estimate, Landscape, Trace, measure
from thalweg.samplers import Block, Engine, Settings, advance, chunks, start, threads, width


def estimate_llc(
    landscape: Landscape,
    settings: Settings | Auto | Literal["auto"] | None = None,
    *,
    progress: bool | None = None,
    **changes: Any,
) -> Estimate:
    """Estimate the LLC at the landscape's w*. Nothing needs to be set.

    Args:
        landscape: from `tw.landscape` or `tw.potential`, restricted or not.
        settings: `tw.Auto(...)`, which finds the sampler, its step, its burn-in and its length by itself
            (the default); or `tw.Settings(...)` of a sampler, taken as they are.
        progress: a bar on standard error; default where that is a terminal.
        **changes: single choices of `Auto` (`rtol=0.02, budget=50_000`), or of `Settings`
            (`step_size=1e-4, draws=4000`); names that only `Settings` has ask for it.

    Returns:
        The estimate, with its trace. It never raises for health: `.value` of an unhealthy one does,
        `.raw` is always there. `.settings` and `.choices` say how it was made.

    Raises:
        InputError: a setting out of its range, a loss that is not finite at w*.
    """
    chosen = choice(settings, **changes)
    center = measure(landscape)
    if isinstance(chosen, Auto):
        with threads(chosen.threads):
            return estimate_auto(landscape, chosen, center, progress=progress)
    resolved = chosen.resolve(landscape.n, len(landscape.data) if landscape.data else None)
    with threads(resolved.threads):
        seen = _sample(landscape, resolved, chunks([center], [0], resolved.chains, width(landscape)))
    return estimate(trace(*seen, resolved, center.loss), resolved, landscape)


def choice(settings: Settings | Auto | Literal["auto"] | None, **changes: Any) -> Settings | Auto:
    """Which of the two ways is asked for: by type, or by the names of what is set.

    Raises:
        InputError: a name that neither has, a value out of range.
    """
    if (
        settings == "auto"
        or isinstance(settings, Auto)
        or (settings is None and changes.keys() <= Auto.model_fields.keys())
    ):
        return Auto.of(settings if isinstance(settings, Auto) else None, **changes)
    return Settings.of(settings, **changes)


def estimate_auto(
    landscape: Landscape,
    auto: Auto,
    center: Center,
    *,
    step: int = 0,
    engine: Engine | None = None,
    progress: bool | None = False,
) -> Estimate:
    """Estimate one checkpoint with nothing set.

    Args:
        landscape: that the checkpoint lies in.
        auto: what is asked for.
        center: from `measure`.
        step: training step of the checkpoint; names the random streams.
        engine: of the landscape, where there is one already.
        progress: a bar on standard error; None for one where that is a terminal.
    """
    resolved = auto.resolve(landscape)
    with bar(resolved.budget, progress) as tick:
        found = settle(engine or Engine(landscape, compiled=False), resolved, center, step, tick)
    cut, nbeta = found.burn_in, found.settings.nbeta or float("nan")
    settings = found.settings.model_copy(update={"burn_in": cut, "draws": found.loss.shape[1] - cut})
    return Estimate(
        raw=nbeta * found.health.mean,
        stderr=nbeta * found.health.stderr,
        rhat=found.health.rhat,
        ess=found.health.ess,
        verdict=found.health.verdict,
        reasons=found.health.reasons,
        choices=found.choices,
        settings=describe(settings, landscape)
        | {"rtol": auto.rtol, "budget": auto.budget, "gradients": round(found.spent)},
        trace=trace(found.loss, found.excess, found.slope, settings, center.loss),
    )


def _sample(landscape: Landscape, settings: Settings, parts: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses, excess and slope (R, steps) of every replica, in this process."""
    engine = Engine(landscape, compiled=settings.compile)
    rows = []
    for chunk in parts:
        state, blocks = start(chunk), []
        while state.step < settings.steps:
            state, block = advance(engine, settings, chunk, state)
            blocks.append(block)
        rows.append(Block.join(blocks))
    seen = Block.join(rows, axis=0)
    return seen.loss.cpu().numpy(), seen.excess.cpu().numpy(), seen.slope.cpu().numpy()


def trace(loss: np.ndarray, excess: np.ndarray, slope: np.ndarray, settings: Settings, baseline: float) -> Trace:
    """Cut burn-in off the losses (C, steps) of one checkpoint."""
    cut = settings.burn_in
    return Trace(loss[:, cut:], excess[:, cut:], loss[:, :cut], excess[:, :cut], baseline, slope[:, cut:])


def estimate(seen: Trace, settings: Settings, landscape: Landscape) -> Estimate:
    """Turn a trace into an estimate.

    Args:
        seen: the trace of one checkpoint.
        settings: resolved, that it was sampled with.
        landscape: that it was sampled in.
    """
    health: Health = diagnose(seen.excess, seen.burn_in_excess, seen.slope)
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


def describe(settings: Settings | Auto, landscape: Landscape) -> dict[str, Any]:
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
        "tethered": sorted(restriction.tether or {}),
    }
