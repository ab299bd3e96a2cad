"""What the study depends on: the table, the posterior, the runs; at the published size and in seconds."""

from thalweg.estimators import Auto
from thalweg.recipes._configuration import Configuration
from thalweg.recipes.superposition._posterior import Tempering
from thalweg.recipes.superposition._runs import Descent
from thalweg.recipes.superposition._table import Phases
from thalweg.samplers import Settings


class Config(Configuration):
    """All that the study depends on, beside the seed.

    Attributes:
        features: c, inputs.
        phases: the table of coefficients.
        tempering: the posterior over phases.
        descent: the runs.
    """

    features: int = 6
    phases: Phases
    tempering: Tempering
    descent: Descent


RUNGS = (10, 14, 20, 28, 40, 55, 70, 84, 100, 120, 140, 165, 190, 220,
         250, 285, 320, 360, 400, 475, 560, 640, 750, 900)  # fmt: skip


def paper() -> Config:
    """The published size."""
    return Config(
        phases=Phases(
            phases=((6, 0), (5, 1), (5, 0), (4, 2), (4, 1), (4, 0)),
            samples=(500_000, 5000, 1000),
            auto=Auto(gamma=10.0, rtol=0.01),
        ),
        tempering=Tempering(rungs=RUNGS, ladders=12, sweeps=10_000, burn_in=1000, every=10),
        descent=Descent(
            runs=50,
            samples=1000,
            learning_rate=0.005,
            noise=0.01,
            epochs=4500,
            every=30,
            sampler=Settings(
                sampler="hmc", chains=4, burn_in=75, draws=300, step_size=0.1, leapfrog_steps=4, gamma=10.0
            ),
        ),
    )


def tiny() -> Config:
    """The same in seconds."""
    return Config(
        phases=Phases(phases=((6, 0), (4, 0)), samples=(1000,), auto=Auto(gamma=10.0, rtol=0.1, budget=2000)),
        tempering=Tempering(rungs=RUNGS[2:21:3], ladders=2, sweeps=150, burn_in=50, every=5),
        descent=Descent(
            runs=4,
            samples=300,
            learning_rate=0.02,
            noise=0.05,
            epochs=1200,
            every=40,
            sampler=Settings(
                sampler="hmc", chains=4, burn_in=50, draws=250, step_size=0.1, leapfrog_steps=4, gamma=20.0
            ),
        ),
    )
