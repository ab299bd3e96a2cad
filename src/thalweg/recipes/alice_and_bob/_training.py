"""The certificate along Bob's training.      T checkpoints, L rooms, n rooms that he learns from

Bob's worths are Alice's plus noise. He learns by exact gradient on n rooms that were drawn beforehand. At each
checkpoint: exact, lp and t1 for an Alice whose worths are known and for one who was seen to choose; and his certified
learning gap. At the end, the worst mean certificate within kappa nats of his local posterior.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.certificates import (
    Bob,
    Demonstrations,
    GeneralisationBound,
    KnownReward,
    certified_gap,
    certify,
    continued,
    predicted_gap,
    split_delta,
)
from thalweg.checkpoints import Series
from thalweg.estimators import estimate_llc
from thalweg.irl import Boltzmann
from thalweg.landscape import Landscape, measure
from thalweg.recipes._cache import all_cached, cached
from thalweg.recipes._policy_checkpoints import exact_gradient, trained_series
from thalweg.recipes.alice_and_bob._lessons import Lessons, Setup, setup
from thalweg.recipes.alice_and_bob._rooms import ACTIONS, Walker
from thalweg.rl import regret_landscape
from thalweg.rng import seed_of
from thalweg.runtime import threads
from thalweg.samplers import Engine, Settings, chunks, move, place, start, width

DELTA = 0.05  # of Alice's set, and of all learning gaps together
SHARES = ("exact", "lp", "t1")


def trained(lessons: Lessons, out: Path, seed: int) -> dict[str, Any]:
    """Train Bob, certify him at every checkpoint, and beyond the last."""
    here = setup(lessons, seed)
    folder = out / "training"
    moments = exact_gradient(partial(Walker, lessons.hidden), here.taken, lessons.ascent, [seed])
    (series,) = trained_series(moments, [folder / "checkpoints"], lessons.ascent.updates)
    numbers = range(len(series))
    rows = all_cached([folder / f"checkpoint-{k}.json" for k in numbers], partial(_certified, here, series), numbers)
    size = float(here.rooms.all.return_range(_reward(here, here.bob)))
    return {
        "steps": series.steps,
        "rooms": lessons.rooms,
        "worth": {"alice": here.alice.tolist(), "bob": here.bob.tolist()},
        "bob_range": size,
        "upper": here.upper,
        "tail": here.tail,
        **{who: {name: [row[who][name] for row in rows] for name in rows[0][who]} for who in ("known", "observed")},
        "gap": {name: [row["gap"][name] for row in rows] for name in rows[0]["gap"]},
        "learned": rows[-1]["learned"],
        "continued": cached(folder / "continued.json", _beyond, here, series),
    }


def _reward(here: Setup, worth: Tensor) -> Tensor:
    """(L S, A) of all rooms."""
    return here.rooms.values.reward(worth, ACTIONS)


@threads(1)
def _certified(here: Setup, series: Series, number: int) -> dict[str, Any]:
    """Certificates of both Alices at a checkpoint, the gap, and what the gap alone certifies at the end."""
    weights = series.items[number].load()
    policy, reward = here.policy(weights).flatten(0, 1), _reward(here, here.bob)
    parties = _alices(here)
    found: dict[str, Any] = {who: _shares(alice, Bob(policy, reward), here) for who, alice in parties.items()}
    gap = _gap(here, series, number)
    scape = here.scape(weights)
    free = scape.restrict(orthogonal_to_gradient=True)
    llc = estimate_llc(free, here.lessons.sampler, seed=here.seed, progress=False)
    predicted = predicted_gap(llc, llc.settings["nbeta"])
    own = float(here.taken.regret(here.taken.policy(here.walker(weights))))
    whole = replace(gap, raw=gap.raw + here.tail)
    found["gap"] = {
        "training": own,
        "all": float(here.family.regret(here.policy(weights))),
        "certified": gap.raw if gap.healthy else None,
        "scale": gap.terms.get("scale"),
        "divergence": gap.terms.get("divergence"),
        "empirical": gap.terms.get("empirical"),
        "predicted": own + predicted.raw if predicted.healthy else None,
        "llc": llc.raw,
        "llc_stderr": llc.stderr,
        "verdicts": str(llc.verdict),
    }
    if number == len(series.items) - 1:
        told = Bob(reward=reward, suboptimality=whole)
        found["learned"] = {who: _shares(alice, told, here) for who, alice in parties.items()}
    return found


def _alices(here: Setup) -> dict[str, KnownReward | Demonstrations]:
    """The one whose worths are known, and the one who was seen to choose."""
    choice_model = Boltzmann(here.lessons.inverse_temperature)
    own = seed_of(here.seed, "Alice's choices")
    behaviour, values = here.rooms.behaviour(here.alice, choice_model, here.lessons.choices, own)
    truth = _reward(here, here.alice)
    return {
        "known": KnownReward(truth),
        "observed": Demonstrations(behaviour, values, choice_model, DELTA, reward=truth, there=here.rooms.values),
    }


def _shares(alice: KnownReward | Demonstrations, bob: Bob, here: Setup) -> dict[str, float | None]:
    """exact, lp, t1 and the realised regret; none where there is no certificate."""
    found = certify(alice, bob, here.rooms.all)
    return {name: getattr(found, name) for name in (*SHARES, "realised")}


def _gap(here: Setup, series: Series, number: int) -> GeneralisationBound:
    """Mean regret on all rooms of a policy drawn from the Gaussian around the checkpoint's weights."""
    lessons = here.lessons
    return certified_gap(
        regret_landscape(here.walker(series.items[number].load()), here.taken, n=len(here.taken)),
        lessons.scales,
        prior_mean=0.0,
        prior_scale=lessons.prior,
        prior_data=None,
        upper=here.upper,
        draws=lessons.draws,
        delta=split_delta(DELTA, len(series.items)),
        seed=seed_of(here.seed, "gap", number),
    )


def _beyond(here: Setup, series: Series) -> dict[str, Any]:
    """Regret by Alice's worths of policies from the local posterior, and the worst mean within kappa nats."""
    weights = series.items[-1].load()
    scape = here.scape(weights)
    chosen = here.lessons.sampler.model_copy(update={"seed": here.seed})
    truth = _reward(here, here.alice)
    with threads(1):
        drawn_ = local_draws(scape, chosen, here.lessons.every)
        policies = torch.stack([here.policy(scape.layout.unflatten(w)).flatten(0, 1) for w in drawn_])
        certs = here.rooms.all.regret(policies, truth, normalised=True).numpy()
        own = float(here.rooms.all.regret(here.policy(weights).flatten(0, 1), truth, normalised=True))
    found = [continued(certs, kappa) for kappa in here.lessons.kappas]
    return {
        "kappa": list(here.lessons.kappas),
        "estimated": [one.raw if one.healthy else None for one in found],
        "effective": [one.terms["effective"] for one in found],
        "draws": len(certs),
        "at_end": own,
        "mean": float(np.mean(certs)),
        "largest": float(np.max(certs)),
    }


def local_draws(scape: Landscape, settings: Settings, every: int) -> Tensor:
    """(N, D) weights from the local posterior around w*, of all chains; one of `every` draws is kept."""
    chosen = settings.resolve(scape.n, len(scape.data) if scape.data else None)
    engine, kept_ = Engine(scape, compiled=chosen.compile), []
    center = measure(scape)
    for chunk in chunks([center], [0], chosen.chains, width(scape)):
        state: Any = start(chunk)
        if chosen.burn_in:
            state, _ = move(engine, chosen, chunk, state, chosen.burn_in)
        for step in range(chosen.burn_in + every, chosen.burn_in + chosen.draws + 1, every):
            state, _ = move(engine, chosen, chunk, state, step)
            kept_.append(place(scape, center.params, state.carried["params"]))
    return torch.cat(kept_)
