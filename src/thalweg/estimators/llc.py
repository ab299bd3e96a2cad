"""The local learning coefficient:  llc = nbeta (E_posterior[L_n(w)] - L_n(w*)).

The expectation is read from paired differences L_B(w) - L_B(w*) on the same batch. Their mean over
batches is the same, since E L_B(w*) = L_n(w*), and their variance lower by orders of magnitude.
Source: Lau et al. 2023 (arXiv 2308.12108), eq. 15.
"""

import math
from typing import Any, Literal

import numpy as np

from thalweg.errors import InputError
from thalweg.estimators._gamma import change_in_a_decade, rising, said_of_gamma
from thalweg.estimators._kinds import NO_HEALTH, moved, nothing, settle_point, told_of_kind
from thalweg.estimators._progress import bar
from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.adaptation.pace import counted
from thalweg.estimators.diagnostics import Health, diagnose
from thalweg.landscape import (
    Center,
    Estimate,
    Landscape,
    Trace,
    announce,
    checked_gradients,
    measure,
    said,
    sampled_point,
)
from thalweg.runtime import threads
from thalweg.samplers import (
    Block,
    Chunk,
    Engine,
    Settings,
    State,
    advance,
    bracket,
    chunks,
    known,
    start,
    wide_of,
    width,
)
from thalweg.types import Verdict


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
    if not isinstance(landscape, Landscape):
        raise InputError(
            f"landscape is a {type(landscape).__name__}: make one, tw.landscape(module, data, loss) or tw.potential"
        )
    landscape, given = checked_gradients(landscape), landscape
    announce(given, landscape)
    center = measure(landscape)
    if isinstance(chosen, Auto):
        with threads(chosen.threads):
            auto = counted(chosen.resolve(landscape), landscape)
            return estimate_auto(landscape, auto, center, progress=progress)
    resolved = chosen.resolve(landscape.n, len(landscape.data) if landscape.data else None)
    with threads(resolved.threads):
        center = sampled_point(landscape, center, resolved.nbeta or math.nan, resolved.gamma)
        if center.unreached:
            return estimate(trace(nothing(resolved), resolved, center), resolved, landscape)
        seen = _sample(landscape, resolved, chunks([center], [0], resolved.chains, width(landscape)))
    return estimate(trace(seen, resolved, center), resolved, landscape)


def choice(settings: Settings | Auto | Literal["auto"] | None, **changes: Any) -> Settings | Auto:
    """Which of the two ways is asked for: by type, or by the names of what is set.

    Raises:
        InputError: a name that neither has, a value out of range.
    """
    if settings is not None and settings != "auto" and not isinstance(settings, Auto | Settings):
        raise InputError(f"settings is a {type(settings).__name__}: give tw.Auto(...), tw.Settings(...), or names")
    known(changes, Auto.model_fields.keys() | Settings.model_fields.keys())
    found = sorted(changes.keys() - Settings.model_fields.keys())
    given = sorted(changes.keys() - Auto.model_fields.keys())
    adaptive = settings == "auto" or isinstance(settings, Auto)
    manual = settings if isinstance(settings, Settings) else None
    if (adaptive or found) and (manual or given):
        raise InputError(
            f"{', '.join(found) or 'tw.Auto'} lets a sampler's settings be found, {', '.join(given) or 'tw.Settings'}"
            " gives them: leave one of the two out"
        )
    if manual or given:
        return Settings.of(manual, **changes)
    return Auto.of(settings if isinstance(settings, Auto) else None, **changes)


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
    made = {"rtol": resolved.rtol, "budget": resolved.budget, "seconds": resolved.seconds}
    with bar(resolved.budget, progress) as tick:
        found, center = settle_point(engine or Engine(landscape, compiled=False), resolved, center, step, tick)
    if found is None:
        sampler = resolved.largest.sampler
        settings = resolved.settings(sampler=sampler, gamma=resolved.first_gamma(landscape), draws=8).resolve(
            landscape.n
        )
        return estimate(trace(nothing(settings), settings, center), settings, landscape, made | {"gradients": 0})
    cut = found.burn_in
    settings = found.settings.model_copy(update={"burn_in": cut, "draws": found.seen["loss"].shape[1] - cut})
    made["gradients"] = round(found.spent)
    seen = trace(found.seen, settings, center)
    return _estimate(found.health, seen, describe(settings, landscape) | made, landscape, found.choices)


def _sample(landscape: Landscape, settings: Settings, parts: list) -> dict[str, np.ndarray]:
    """What was seen (R, steps) of every replica, in this process."""
    engine = Engine(landscape, compiled=settings.compile)
    rows = []
    for chunk in parts:
        state, blocks = begin(engine, settings, chunk), []
        while state.step < settings.steps:
            state, block = advance(engine, settings, chunk, state)
            blocks.append(block)
        rows.append(Block.join(blocks))
    return Block.join(rows, axis=0).arrays()


def begin(engine: Engine, settings: Settings, chunk: Chunk) -> State:
    """Where replicas start: at w*, or, where there are enough chains, every second one wide."""
    state = start(chunk)
    return bracket(engine, settings, chunk, state)[0] if settings.bracketed else state


def trace(seen: dict[str, np.ndarray], settings: Settings, center: Center) -> Trace:
    """Cut burn-in off what was seen (C, steps) of one checkpoint."""
    cut = settings.burn_in
    return Trace(
        loss=seen["loss"][:, cut:],
        excess=seen["excess"][:, cut:],
        burn_in_loss=seen["loss"][:, :cut],
        burn_in_excess=seen["excess"][:, :cut],
        baseline=center.loss,
        slope=seen["slope"][:, cut:],
        doubt=center.doubt,
        relaxation=center.relaxation,
        away=seen["away"][:, cut:],
    )


def estimate(seen: Trace, settings: Settings, landscape: Landscape, made: dict[str, Any] | None = None) -> Estimate:
    """Turn a trace into an estimate.

    Args:
        seen: the trace of one checkpoint.
        settings: resolved, that it was sampled with.
        landscape: that it was sampled in.
        made: what it was made with beside.
    """
    lost = seen.relaxation is not None and seen.relaxation.reason
    health = NO_HEALTH if lost else diagnose(seen.excess, seen.burn_in_excess, seen.slope, wide_of(settings))
    return _estimate(health, seen, describe(settings, landscape) | (made or {}), landscape)


def _estimate(
    health: Health, seen: Trace, made: dict[str, Any], landscape: Landscape, choices: tuple[str, ...] = ()
) -> Estimate:
    """The excess in units of 1/nbeta; no value where it is known that the point is no minimum."""
    found = [health.verdict]
    if health.verdict is not Verdict.DIVERGED:
        found = [*([Verdict.NO_MINIMUM] if seen.doubt else []), *found]
    raw = made["nbeta"] * health.mean
    decade = change_in_a_decade(seen, made["nbeta"], made["gamma"])
    rises = [] if found[0] is not Verdict.HEALTHY else rising(decade, made, raw)
    found = [*([Verdict.NOT_LOCALISED] if rises else []), *found]
    doubts = [*rises, seen.doubt, seen.relaxation.reason if seen.relaxation else ""]
    return Estimate(
        raw=raw,
        stderr=made["nbeta"] * health.stderr,
        rhat=health.rhat,
        ess=health.ess,
        verdict=found[0],
        reasons=(*(doubt for doubt in doubts if doubt), *health.reasons),
        choices=(
            *([said(landscape)] if landscape.restriction.held else []),
            *told_of_kind(made, seen),
            *choices,
            *said_of_gamma(decade, made, raw),
        ),
        settings=made | moved(seen) | (decade._asdict() if decade else {}),
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
        "kind": restriction.kind,
        "orthogonal_to_gradient": restriction.orthogonal_to_gradient,
        "localized": sorted(restriction.localization or {}),
        **({"held": list(restriction.held)} if restriction.held else {}),
    }
