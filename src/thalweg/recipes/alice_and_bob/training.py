"""The certificate along Bob's training.      T checkpoints, L rooms, n rooms that he learns from

Bob's worths are Alice's plus noise. He learns by exact gradient on n rooms that were drawn beforehand. At each
checkpoint: exact, lp and t1 for an Alice whose worths are known and for one who was seen to choose; and his certified
learning gap. At the end, the worst mean certificate within kappa nats of his local posterior.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from thalweg.certificates import (
    Bob,
    Gap,
    Known,
    Observed,
    certified_gap,
    certify,
    continued,
    drawn,
    predicted_gap,
    split_delta,
    truncation_tail,
)
from thalweg.checkpoints import Series
from thalweg.estimators import estimate_llc
from thalweg.landscape import Landscape, measure
from thalweg.recipes.alice_and_bob.kept import kept
from thalweg.recipes.alice_and_bob.rooms import ACTIONS, Rooms, Walker, rooms
from thalweg.recipes.spread import spread
from thalweg.recipes.taught import taught
from thalweg.rl import Ascent, Levels, ascend, regret_landscape
from thalweg.rng import seed_of, stream
from thalweg.samplers import Engine, Settings, chunks, move, place, start, threads, width
from thalweg.values import Boltzmann

DELTA = 0.05  # of Alice's set, and of all learning gaps together
SHARES = ("exact", "lp", "t1")


class Lessons(BaseModel):
    """How Bob learns, and what is known of Alice.

    Attributes:
        side, discount, horizon: of the rooms.
        worth: of the cheese and the flower, to Alice.
        noise: standard deviation of what is added to both for Bob.
        rooms: n that Bob learns from, drawn with replacement.
        hidden: tanh units of his policy.
        ascent: how he learns.
        choices, sharpness: of Alice, in one room.
        prior: standard deviation of weights a priori, around 0.
        scales: of his Gaussian posterior, to choose from.
        draws: of weights for each scale.
        sampler: of his local posterior at n levels.
        every: draws from one whose policy is kept to the next.
        kappas: nats.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int
    discount: float
    horizon: int
    worth: tuple[float, float]
    noise: float
    rooms: int
    hidden: int
    ascent: Ascent
    choices: int
    sharpness: float
    prior: float
    scales: tuple[float, ...]
    draws: int
    sampler: Settings
    every: int
    kappas: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class School:
    """All that is fixed before Bob learns.

    Attributes:
        lessons: how.
        seed: of all that is random.
        rooms: all of them.
        alice: (2,) worths.
        bob: (2,) worths.
        family: all rooms as levels, for Bob.
        taken: those that he learns from.
    """

    lessons: Lessons
    seed: int
    rooms: Rooms
    alice: Tensor
    bob: Tensor
    family: Levels
    taken: Levels

    @property
    def upper(self) -> float:
        """C: the largest regret by Bob's worths that a room can have."""
        return float((self.family.best() + replace(self.family, reward=-self.family.reward).best()).max())

    @property
    def tail(self) -> float:
        """What an episode loses at most after the horizon, by Bob's worths."""
        spread = float(self.family.reward.max() - self.family.reward.min())
        return truncation_tail(self.lessons.discount, self.lessons.horizon, spread)

    def scape(self, weights: Any) -> Landscape:
        """His regret on the rooms that he learns from, with the entropy that is paid; each kind of room once."""
        held = (self.taken.observations[:, None] == self.family.observations[None]).flatten(2).all(2)
        counted = replace(self.family, weight=held.double().mean(0))
        paid = self.lessons.ascent.temperature
        return regret_landscape(self.walker(weights), counted, n=len(self.taken), temperature=paid)

    def policy(self, weights: Any) -> Tensor:
        """(L, S, A) on all rooms."""
        return self.family.policy(self.walker(weights))

    def walker(self, weights: Any) -> Walker:
        """His policy as a module."""
        policy = Walker(self.lessons.hidden)
        policy.load_state_dict(weights)
        return policy


def school(lessons: Lessons, seed: int) -> School:
    """Draw Bob's worths and his rooms."""
    world, hers = rooms(lessons.side, lessons.discount), torch.tensor(lessons.worth, dtype=torch.float64)
    noise = torch.randn(2, generator=stream(seed, "Bob's worths"), dtype=torch.float64)
    his = hers + lessons.noise * noise
    family = world.levels(his, lessons.horizon)
    return School(lessons, seed, world, hers, his, family, drawn(family, lessons.rooms, seed_of(seed, "rooms")))


def trained(lessons: Lessons, out: Path, seed: int) -> dict[str, Any]:
    """Train Bob, certify him at every checkpoint, and beyond the last."""
    here = school(lessons, seed)
    folder = out / "training"
    begin = partial(_lessons, here)
    (series,) = taught(begin, [folder / "checkpoints"], lessons.ascent.updates)
    steps = list(range(len(series)))
    rows = list(spread(partial(_checkpoint, lessons, folder, seed), steps))
    beyond = kept(folder / "continued.json", partial(_beyond, here, series))
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
        "continued": beyond,
    }


def _lessons(here: School) -> Iterator[tuple[int, list[Any]]]:
    """Bob's training, to be begun."""
    build = partial(Walker, here.lessons.hidden)
    return ((m.step, m.weights) for m in ascend(build, here.taken, here.lessons.ascent, [here.seed]))


def _reward(here: School, worth: Tensor) -> Tensor:
    """(L S, A) of all rooms."""
    return here.rooms.values.reward(worth, ACTIONS)


def _checkpoint(lessons: Lessons, folder: Path, seed: int, number: int) -> dict[str, Any]:
    """One checkpoint, computed once."""

    def make() -> dict[str, Any]:
        here = school(lessons, seed)
        (series,) = taught(partial(_lessons, here), [folder / "checkpoints"], lessons.ascent.updates)
        with threads(1):
            return _certified(here, series, number)

    return kept(folder / f"checkpoint-{number}.json", make)


def _certified(here: School, series: Series, number: int) -> dict[str, Any]:
    """Certificates of both Alices, the gap, and what the gap alone certifies at the end."""
    weights = series.items[number].load()
    policy, reward = here.policy(weights).flatten(0, 1), _reward(here, here.bob)
    parties = _alices(here)
    found = {who: _shares(alice, Bob(policy, reward), here) for who, alice in parties.items()}
    gap = _gap(here, series, number)
    scape = here.scape(weights)
    chosen = here.lessons.sampler.model_copy(update={"seed": here.seed})
    llc = estimate_llc(scape.restrict(orthogonal_to_gradient=True), chosen, progress=False)
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


def _alices(here: School) -> dict[str, Known | Observed]:
    """The one whose worths are known, and the one who was seen to choose."""
    rule = Boltzmann(here.lessons.sharpness)
    own = seed_of(here.seed, "Alice's choices")
    behaviour, values = here.rooms.behaviour(here.alice, rule, here.lessons.choices, own)
    truth = _reward(here, here.alice)
    return {
        "known": Known(truth),
        "observed": Observed(behaviour, values, rule, DELTA, reward=truth, there=here.rooms.values),
    }


def _shares(alice: Known | Observed, bob: Bob, here: School) -> dict[str, float | None]:
    """exact, lp, t1 and the realised regret; none where there is no certificate."""
    found = certify(alice, bob, here.rooms.all)
    return {name: getattr(found, name) for name in (*SHARES, "realised")}


def _gap(here: School, series: Series, number: int) -> Gap:
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


def _beyond(here: School, series: Series) -> dict[str, Any]:
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
    """(N, D) weights from the local posterior around w*, of all chains.

    Args:
        scape: around w*.
        settings: of the sampler.
        every: draws from one that is kept to the next.
    """
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


__all__ = ["Lessons", "School", "local_draws", "school", "trained"]
