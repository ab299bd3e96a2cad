"""How far Bob strays by Alice's lights: what choices buy, along training, under reflection, across ontologies.

The certificates are those of `docs/certificates.md`. Every number of the first two parts is proven where it says
certified; a learning coefficient predicts and a sample of a posterior estimates, and the page says which is which.
"""

from pathlib import Path

import numpy as np

from thalweg.recipes._cache import cached
from thalweg.recipes._configuration import Configuration
from thalweg.recipes.alice_and_bob import _choices as choices
from thalweg.recipes.alice_and_bob import _ontologies as ontologies
from thalweg.recipes.alice_and_bob import _page as page
from thalweg.recipes.alice_and_bob import _reflection as reflection
from thalweg.recipes.alice_and_bob import _training as training
from thalweg.recipes.alice_and_bob._lessons import Lessons
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rl import Ascent
from thalweg.runtime import threads
from thalweg.samplers import Settings


class Config(Configuration):
    """All that the study depends on, beside the seed.

    Attributes:
        choosers: simulated Alices, a group for each inverse temperature.
        lessons: Bob's training.
        refinements: of ontologies.
    """

    choosers: tuple[choices.Choosers, ...]
    lessons: Lessons
    refinements: ontologies.Refinements


def paper() -> Config:
    """Sixty Alices, up to 5,000 choices of each, and 72 rooms."""
    shared = {"choices": (50, 160, 500, 1600, 5000), "coefficients": 4, "lengths": (1600, 5000), "draws": 400}
    return Config(
        choosers=(
            choices.Choosers(inverse_temperature=50.0, alices=48, **shared),
            choices.Choosers(inverse_temperature=5.0, alices=12, **shared),
        ),
        lessons=Lessons(
            side=3,
            discount=0.8,
            horizon=40,
            rooms=2000,
            hidden=6,
            ascent=Ascent(updates=960, learning_rate=0.02, levels=64, every=120, temperature=0.02),
            choices=2000,
            scales=(0.15, 0.3),
            draws=300,
            sampler=Settings(
                sampler="mala", chains=4, burn_in=100, draws=400, step_size=3e-3, gamma=100.0, nbeta=1000.0
            ),
            every=4,
            kappas=(0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0),
        ),
        refinements=ontologies.Refinements(
            processes=100, states=5, discount=0.9, drifting=0.5, noise=(0.001, 0.003, 0.01, 0.03)
        ),
    )


def tiny() -> Config:
    """A few Alices of at most 150 choices, and 12 rooms."""
    shared = {"choices": (50, 150), "coefficients": 1, "lengths": (150,), "draws": 40}
    return Config(
        choosers=(
            choices.Choosers(inverse_temperature=50.0, alices=2, **shared),
            choices.Choosers(inverse_temperature=5.0, alices=2, **shared),
        ),
        lessons=Lessons(
            side=2,
            discount=0.6,
            horizon=20,
            rooms=100,
            hidden=4,
            ascent=Ascent(updates=60, learning_rate=0.05, levels=16, every=30, temperature=0.02),
            choices=400,
            scales=(0.2, 0.5),
            draws=20,
            sampler=Settings(
                sampler="mala", chains=4, burn_in=20, draws=60, step_size=5e-3, gamma=100.0, nbeta=200.0
            ),
            every=5,
            kappas=(0.0, 0.1, 1.0),
        ),
        refinements=ontologies.Refinements(processes=5, states=4, discount=0.9, drifting=0.5, noise=(0.01,)),
    )


def run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Simulate, train, reflect, refine; what is written down already is not done again."""
    simulations = []
    for group in config.choosers:
        stages.say(f"{group.alices} Alices of inverse temperature {group.inverse_temperature:g}")
        simulations.append(choices.simulated(group, out, seed))
    stages.say("Bob's training")
    learnt = training.trained(config.lessons, out, seed)
    stages.say("reflection and ontologies")
    with threads(1):
        cases = reflection.cases()
        refined = cached(out / "ontologies.json", lambda: ontologies.refined(config.refinements, seed))
    results = {
        "choices": [choices.document(one) for one in simulations],
        "training": learnt,
        "reflection": reflection.document(cases),
        "ontology": refined,
    }
    html = page.write(out / "alice-and-bob.html", simulations, learnt, cases, refined)
    verdicts = [one["verdict"] for group in simulations for one in group.coefficients] + learnt["gap"]["verdicts"]
    return Outcome(results, html, float(np.mean([verdict != "healthy" for verdict in verdicts])))


RECIPE = Recipe(
    name="alice-and-bob",
    summary="How far Bob strays by Alice's values: what her choices buy, and certificates along his training.",
    paper=paper,
    tiny=tiny,
    run=run,
)
