"""What is left to choose where nothing is set: how exact, and at what cost. Checked once, here."""

from math import log, sqrt
from typing import Any

from pydantic import Field

from thalweg.landscape import Landscape
from thalweg.samplers import WIDTH, Choices, Settings

BATCH = 512  # samples, where all would be too many
THOUSAND = 1000.0  # weights
FINE, ROUGH, CHEAP = 0.012, 0.05, 1 << 17  # relative errors, where a gradient is cheap and where it is dear
AFFORDABLE_SAMPLES, AFFORDABLE_WORK, AFFORDABLE_WEIGHTS = 1 << 14, 1 << 28, 1 << 20


class Auto(Choices):
    """An estimate that finds its own sampler, step, burn-in and length.

    Attributes:
        rtol: relative standard error at which it stops; default 0.012 where gradients cost little, 0.05 else.
        budget: gradients of the full data that a chain may take; batches count by their share.
        seconds: turned into such a budget, by the time that gradients take here, once: it is kept with the
            result, and a survey that goes on goes on with it. Looks at stronger localizations come on top.
        gamma: strength of the localization to w*, nats per squared weight; default 1, or one for each thousand
            weights of a network, at most sqrt(nbeta)/10; of a single estimate raised where chains would otherwise
            reach more singular points, of a survey the same for all checkpoints.
        nbeta: n times inverse temperature; default n / log n.
        chains: default by the cost of a gradient, 16 to 512 (4 where chains run one by one).
        full_gradient: HMC on the gradient of the full data, or SGHMC; default HMC where that is affordable.
        seed: names every random stream.
        threads: torch threads of the process that samples; part of a result's identity.
    """

    rtol: float | None = Field(default=None, gt=0, lt=1)
    budget: int = Field(default=20_000, ge=100)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gamma: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    nbeta: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    chains: int | None = Field(default=None, ge=2)
    full_gradient: bool | None = None
    seed: int = 0
    threads: int = Field(default=1, ge=1)

    def resolve(self, scape: Landscape) -> "Auto":
        """The same with nbeta, chains and the kind of gradient filled in, by rules that read only sizes."""
        samples, weights = 1 if scape.data is None else len(scape.data), scape.layout.width
        affordable = (
            samples <= AFFORDABLE_SAMPLES and samples * weights <= AFFORDABLE_WORK and weights <= AFFORDABLE_WEIGHTS
        )
        cheap = samples * weights <= CHEAP
        full = affordable if self.full_gradient is None else self.full_gradient
        return self.model_copy(
            update={
                "nbeta": self.nbeta or scape.n / log(scape.n),
                "chains": self.chains or _chains(scape, full),
                "full_gradient": full,
                "rtol": self.rtol or (FINE if full and cheap else ROUGH),
            }
        )

    def settings(self, **own: Any) -> Settings:
        """Of a sampler whose step is not known yet, with what it adds or changes."""
        shared = {name: getattr(self, name) for name in ("nbeta", "chains", "seed", "threads")}
        return Settings(**{**shared, "burn_in": 0, **own})

    @property
    def largest(self) -> Settings:
        """Of the sampler that takes most memory among those that are tried."""
        return Settings(sampler="hmc" if self.full_gradient else "sghmc", batch_size=BATCH)

    def first_gamma(self, scape: Landscape) -> float:
        """The localization that is tried first, below what singular directions would feel.

        It is 1, or for a network of many weights 1 for each thousand: every direction that the loss leaves free takes
        a chain 1/sqrt(gamma) away from w*, and thousands of them lead out of any neighbourhood.
        """
        many = 1.0 if scape.data is None else max(1.0, scape.layout.width / THOUSAND)
        return self.gamma or min(many, sqrt(self.nbeta or 1.0) / 10)

    def last_gamma(self, scape: Landscape) -> float:
        """The strongest localization that leaves singular directions free: gamma well below sqrt(nbeta)."""
        return self.gamma or max(self.first_gamma(scape), sqrt(self.nbeta or 1.0) / 3)


def _chains(scape: Landscape, full: bool) -> int:
    """As many chains as cost little more than one, a power of two."""
    if scape.engine == "serial":
        return 4
    if scape.losses.own_gradients:  # of its own, which no kernel makes cheaper for more chains
        return WIDTH
    if scape.data is None:
        count = (1 << 15) // scape.layout.width
    else:
        count = (1 << 22) // (max(scape.layout.width, 64) * (len(scape.data) if full else 1024))
    return 1 << (min(max(count, 16), 512).bit_length() - 1)
