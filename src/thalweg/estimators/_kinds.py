"""What an estimate says of the kind of point that it is of, and how a relaxed one is settled with nothing set."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from thalweg.estimators.adaptation._course import Tick
from thalweg.estimators.adaptation._settle import Settled, settle
from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.diagnostics import Health
from thalweg.landscape import Center, Trace, sampled_point
from thalweg.samplers import SEEN, Engine, Settings
from thalweg.types import Verdict

FAR = 1.0  # of the localization's length, beyond which w_r is not the checkpoint's own
NAN = math.nan
NO_HEALTH = Health(NAN, NAN, NAN, NAN, NAN, NAN, NAN, Verdict.NOT_RELAXED, ())  # where there is nothing to sample


def nothing(settings: Settings) -> dict[str, np.ndarray]:
    """Fields (C, N) of chains that were not sampled."""
    return dict.fromkeys(SEEN, np.full((settings.chains, settings.steps), NAN))


def moved(seen: Trace) -> dict[str, Any]:
    """How far a relaxed point lies from its checkpoint, for settings and columns; nothing of other kinds."""
    if seen.relaxation is None:
        return {}
    return {name: getattr(seen.relaxation, name) for name in ("distance", "nats_gained")}


def told_of_kind(made: dict[str, Any], seen: Trace) -> list[str]:
    """A sentence of a point that is not w* as it is, and of what the number then means."""
    if made["kind"] == "tilted":
        return [
            "tilted: of the loss without its linear part g . (w - w*), g the gradient of the full data at w*: it"
            " depends on coordinates, and no theorem stands behind it"
        ]
    if seen.relaxation is None:
        return []
    found = seen.relaxation
    what = ": of a basin, not of the checkpoint" if found.distance > FAR else ""
    return [
        f"relaxed: w_r, the minimum of the localized loss at gamma = {made['gamma']:g}, lies {found.distance:.2g}"
        f" lengths of the localization from w* and {found.nats_gained:.3g} nats lower ({found.gradients} gradients)"
        f"{what}"
    ]


def settle_point(engine: Engine, auto: Auto, center: Center, step: int, tick: Tick) -> tuple[Settled | None, Center]:
    """Settle one checkpoint, at the point that its kind asks for.

    Where gamma is not given and goes up, the point relaxes anew: w_r belongs to its gamma.

    Returns:
        What was found, None where no point was; and the point.
    """
    scape, nbeta = engine.scape, auto.nbeta or NAN
    first = auto.first_gamma(scape)
    point = sampled_point(scape, center, nbeta, first)
    if point.unreached:
        return None, point
    found = settle(engine, auto, point, step, tick)
    gamma = found.settings.gamma
    if point.relaxation is None or gamma == first or found.health.verdict is not Verdict.HEALTHY:
        return found, point
    point = sampled_point(scape, center, nbeta, gamma)
    if point.unreached:
        return None, point
    again = settle(engine, auto.model_copy(update={"gamma": gamma}), point, step, tick)
    told = f"gamma = {gamma:g}: chains around the w_r of gamma = {first:g} asked for it; relaxed anew"
    return replace(again, choices=(*again.choices[:-1], told)), point
