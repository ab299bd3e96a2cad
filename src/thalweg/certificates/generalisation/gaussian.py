"""Bob as a Gaussian posterior over his weights: a certified gap without any sampler's error.    D weights, n levels

rho = N(w*, s^2), one policy drawn for each episode. His mean regret over the levels that trained him is itself a mean
over weights: from m draws it is bounded by a tail of its own, and then lifted to all levels by PAC-Bayes-kl.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from thalweg.certificates.generalisation._losses import ROUNDING, outside
from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.certificates.generalisation.pac_bayes import (
    POSTERIOR,
    gaussian_divergence,
    kl_inverse,
    pac_bayes_kl,
)
from thalweg.errors import InputError
from thalweg.landscape import Data, Landscape
from thalweg.mdp import Levels
from thalweg.rl import LevelRegret, PolicyLosses
from thalweg.rng import stream
from thalweg.tree import leaves

TAIL = 0.1  # share of delta that the draws of weights get; the levels have the rest


def drawn(levels: Levels, n: int, seed: int = 0) -> Levels:
    """Draw n levels independently by their weights, each then as likely as the other: a training set.

    A level may be drawn twice, and then is there twice.

    Args:
        levels: the family, whose weights are the distribution.
        n: at least 1.
        seed: names the stream.

    Raises:
        InputError: n below 1.
    """
    if n < 1:
        raise InputError(f"n = {n}: draw at least one level")
    which = torch.multinomial(levels.weight, n, replacement=True, generator=stream(seed, "levels of a certificate"))
    return levels.taken(which, torch.full((n,), 1 / n, dtype=torch.float64))


def certified_gap(
    landscape: Landscape,
    scale: float | Sequence[float],
    *,
    prior_mean: Any,
    prior_scale: float,
    prior_data: str | None,
    upper: float,
    draws: int,
    delta: float,
    seed: int = 0,
) -> GeneralisationBound:
    """The mean regret on all levels of a policy drawn from N(w*, scale^2), with the levels that trained it.

    kl(g || E_rho G / C) <= (KL + ln(2 sqrt(n) / d1)) / n,    kl(mean of m draws || g) <= ln(K / d2) / m

    with d1 + d2 = delta and K scales. PAC-Bayes holds for all posteriors at once: w* and the scale may depend on the
    levels, the prior may not; of several scales the best is taken. A level drawn twice counts twice.

    Args:
        landscape: `regret_landscape` of a float64 policy around w*, on n even independent levels, as of `drawn`.
        scale: s of the posterior, or several to choose from.
        prior_mean: (D,), a dict of parameters, or a number; 0, or weights before training.
        prior_scale: above 0, chosen before the levels were seen.
        prior_data: the data that the prior was made from, in words, which share nothing with the levels, printed as
            an assumption; None: it was fixed before any data.
        upper: C, the largest regret that a level of the family can have, known beforehand.
        draws: m of weights for each scale.
        delta: chance that the bound fails, in (0, 1).
        seed: of the draws, chosen beforehand.

    Returns:
        A certified gap, at most C; the scale that gave it is among its terms.

    Raises:
        InputError: levels with weights, a policy in float32, a prior at w* that is not declared to come from other
            data, numbers out of range.
    """
    center = _center(landscape)
    prior = _prior(landscape, center, prior_mean, prior_data)
    scales = _scales(scale, draws, delta, upper)
    rest, slack = (1 - TAIL) * delta, math.log(len(scales) / (TAIL * delta)) / draws
    found, wrong, played = [], [], _distinct(landscape)
    for number, size in enumerate(scales):
        divergence = gaussian_divergence(center, size, prior, prior_scale)
        noise = stream(seed, "weights of a certificate", number)
        means, fault = _means(landscape, played, center, size, draws, upper, noise)
        if fault:
            wrong.append(f"scale {size:g}: {fault}")
            continue
        mean = min(max(float(means.mean()) / upper, 0.0), 1.0)  # a regret may miss its range by rounding
        empirical = upper * kl_inverse(mean, slack)
        gap = pac_bayes_kl(empirical, divergence, len(_data(landscape)), rest, upper)
        found.append(replace(gap, terms={"scale": size, "mean of draws": upper * mean, **gap.terms}))
    least, terms = min(((g.raw, g.terms) for g in found), key=lambda each: each[0]) if not wrong else (math.inf, {})
    held = _assumed(landscape, prior_data, upper)
    return GeneralisationBound(
        raw=least, kind="certified", delta=delta, assumptions=held, terms=terms, reasons=tuple(wrong)
    )


def _scales(scale: float | Sequence[float], draws: int, delta: float, upper: float) -> list[float]:
    """The scales to choose from, of a request whose numbers are in range."""
    scales = [float(scale)] if isinstance(scale, int | float) else [float(s) for s in scale]
    if not scales or draws < 1 or not 0 < delta < 1 or not 0 < upper < math.inf:
        raise InputError(
            f"{len(scales)} scales, draws = {draws}, delta = {delta}, upper = {upper}: give at least one of each,"
            " a chance, and a regret above 0"
        )
    return scales


def _assumed(landscape: Landscape, prior_data: str | None, upper: float) -> tuple[str, ...]:
    """What a Gaussian's gap rests on."""
    source = "was fixed before any data" if prior_data is None else f"comes from other data: {prior_data}"
    held = ("what is frozen in the policy does not depend on the levels",) if landscape.frozen else ()
    return (
        *held,
        POSTERIOR[0],
        f"the prior {source}",
        f"every level's regret lies in [0, {upper:g}]",
        "Bob draws his weights from the posterior, anew for each episode",
    )


def _data(landscape: Landscape) -> Data:
    """The levels' samples."""
    if landscape.data is None:
        raise InputError("a potential has no levels: give regret_landscape(policy, levels, n=...)")
    return landscape.data


def _center(landscape: Landscape) -> Tensor:
    """w* (D,), of a landscape that fits."""
    losses = landscape.losses
    regret = losses.loss.given if isinstance(losses, PolicyLosses) else None
    if not isinstance(regret, LevelRegret):
        raise InputError("the landscape is none of levels: give regret_landscape(policy, levels, n=...)")
    if bool((regret.scale - 1).abs().max() > ROUNDING):
        raise InputError("levels have weights of their own: a certificate wants independent draws, see drawn")
    if regret.temperature:
        raise InputError(f"temperature {regret.temperature:g}: soft regret is no bound of regret: give temperature=0")
    if landscape.layout.dtype != torch.float64:
        raise InputError("the policy is in float32: build the landscape of policy.double()")
    return landscape.layout.flatten(landscape.params)


def _prior(landscape: Landscape, center: Tensor, given: Any, source: str | None) -> Tensor:
    """The prior's mean (D,), refused where it is w* itself and nothing else is declared."""
    if isinstance(given, dict):
        missing = [name for name in landscape.layout.names if name not in given]
        if missing:
            raise InputError(f"prior_mean lacks {missing[0]!r}: give every parameter that moves")
        given = landscape.layout.flatten(given)
    prior = torch.as_tensor(given, dtype=torch.float64)
    if prior.ndim and prior.shape != center.shape:
        raise InputError(f"prior_mean has shape {tuple(prior.shape)}: give ({len(center)},), a dict or a number")
    if source is not None and not source.strip():
        raise InputError("prior_data is empty: name the data that the prior was made from, or give None")
    if source is None and torch.allclose(prior.expand_as(center), center, rtol=1e-6, atol=0):
        raise InputError(
            "the prior's mean is w*, which has seen the levels: give weights from before, or declare in prior_data"
            " the other data that it comes from"
        )
    return prior


def _means(
    landscape: Landscape,
    played: tuple[Tensor, Tensor],
    center: Tensor,
    size: float,
    draws: int,
    upper: float,
    noise: torch.Generator,
) -> tuple[Tensor, str]:
    """(m,) mean regrets of drawn weights, and what is wrong with them."""
    rows, share = played
    (inputs, targets), means = _data(landscape).take(rows), torch.empty(draws, dtype=torch.float64)
    with torch.no_grad():
        for i in range(draws):
            weights = center + size * torch.randn(len(center), generator=noise, dtype=torch.float64)
            params = landscape.layout.unflatten(weights)
            losses = landscape.losses(params, landscape.frozen, inputs, targets)
            wrong = outside(losses, 0.0, upper)
            if wrong.any():
                return means, f"a level has regret {float(losses[wrong][0]):.6g}, outside [0, {upper:g}]"
            means[i] = share @ losses
    return means, ""


def _distinct(landscape: Landscape) -> tuple[Tensor, Tensor]:
    """(U,) the first of each level that is there more than once, and (U,) the share of the n that is it.

    Two are one where what the policy sees and all of the level have the same bits: then so has its regret.
    """
    data, losses = _data(landscape), landscape.losses
    assert isinstance(losses, PolicyLosses)  # see _center
    regret: Any = losses.loss.given
    parts = [*leaves(data.inputs), *(held[data.targets] for held in regret.buffers())]
    seen: dict[bytes, list[int]] = {}
    for i in range(len(data)):
        content = sha256()
        for part in parts:
            content.update(part[i].cpu().numpy().tobytes())
        seen.setdefault(content.digest(), []).append(i)
    rows, counts = zip(*((same[0], len(same)) for same in seen.values()), strict=True)
    return torch.tensor(rows), torch.tensor(counts, dtype=torch.float64) / len(data)
