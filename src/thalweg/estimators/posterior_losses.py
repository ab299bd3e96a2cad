"""Per-sample losses along the posterior: what WAIC, influence functions and susceptibilities are computed from."""

import math
from typing import Any, Literal

import numpy as np
import torch

from thalweg.errors import InputError, UnhealthyError
from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.adaptation.pace import counted
from thalweg.estimators.llc import choice, estimate_auto
from thalweg.landscape import Data, Landscape, announce, checked_gradients, measure, other_data, sampled_point
from thalweg.runtime import threads
from thalweg.samplers import Engine, Settings, State, chunks, move, place, start, width

LIMIT = 2 << 30  # bytes of losses that are held
ROWS = 1024


def posterior_losses(
    landscape: Landscape,
    settings: Settings | Auto | Literal["auto"] | None = None,
    *,
    every: int = 1,
    data: Any = None,
    **changes: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample the localized posterior, and keep every sample's loss at its draws.

    Args:
        landscape: of a module with data.
        settings: as of `tw.estimate_llc`; what adaptation finds is then sampled once more.
        every: draws from one that is kept to the next.
        data: whose losses; default the landscape's own.
        **changes: single choices, as of `tw.estimate_llc`.

    Returns:
        Losses (C, N, n) and, at w*, (n,), nats per sample, float64.

    Raises:
        InputError: a potential, which has no samples; more than 2 GiB of losses.
        UnhealthyError: adaptation found no healthy estimate; a descent reached no relaxed point.
    """
    if landscape.data is None:
        raise InputError("a potential has no samples: give a landscape of a module with data")
    if every < 1:
        raise InputError(f"every = {every}: give at least 1")
    samples = landscape.data if data is None else other_data(landscape, data, "other")
    landscape, given = checked_gradients(landscape), landscape
    announce(given, landscape)
    assert landscape.data is not None
    center = measure(landscape)
    chosen = choice(settings, **changes)
    if isinstance(chosen, Auto):
        found = estimate_auto(landscape, counted(chosen.resolve(landscape), landscape), center)
        _ = found.value  # raises where there is none
        chosen = Settings(**{name: found.settings[name] for name in Settings.model_fields})
    chosen = chosen.resolve(landscape.n, len(landscape.data))
    size = chosen.chains * (chosen.draws // every) * len(samples) * 8
    if size > LIMIT:
        raise InputError(f"{size >> 20} MiB of losses: take fewer draws, chains or samples, or a larger every")
    engine, kept = Engine(landscape, compiled=chosen.compile), []
    with threads(chosen.threads):
        center = sampled_point(landscape, center, chosen.nbeta or math.nan, chosen.gamma)
        if center.unreached:
            raise UnhealthyError(f"there is no relaxed point: {center.unreached}")
        for chunk in chunks([center], [0], chosen.chains, width(landscape)):
            state: State = start(chunk)
            state, _ = move(engine, chosen, chunk, state, chosen.burn_in) if chosen.burn_in else (state, None)
            rows = []
            for step in range(chosen.burn_in + every, chosen.burn_in + chosen.draws + 1, every):
                state, _ = move(engine, chosen, chunk, state, step)
                rows.append(_losses(landscape, place(landscape, center.params, state.carried["params"]), samples))
            kept.append(np.stack(rows, 1))
        baseline = _losses(landscape, center.params[None], samples)[0]
    return np.concatenate(kept), baseline


def _losses(scape: Landscape, params: torch.Tensor, samples: Data) -> np.ndarray:
    """(R, n) of each replica, one after the other."""
    found = []
    with torch.no_grad():
        for row in params:
            weights = scape.layout.unflatten(row)
            parts = [
                scape.losses(weights, scape.frozen, *samples.take(slice(first, first + ROWS)))
                for first in range(0, len(samples), ROWS)
            ]
            found.append(torch.cat(parts).double().cpu().numpy())
    return np.stack(found)
