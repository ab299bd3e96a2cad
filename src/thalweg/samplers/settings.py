"""Settings of a sampler: checked once, here; trusted everywhere else."""

from math import log
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thalweg.errors import InputError


class Settings(BaseModel):
    """How a localized posterior is sampled.

    Attributes:
        sampler: the algorithm.
        chains: C, independent chains for each checkpoint.
        burn_in: steps that are thrown away, kept apart in the trace.
        draws: N, steps that count.
        step_size: eps of drift -(eps/2) grad U and noise sqrt(eps) xi; libraries that drift by eps
            take half of it. Default 0.2 / nbeta, or 0.2 B / nbeta^2 where batches of B are drawn and
            that is less: up to curvature 1 nat per squared weight, the finite step and the noise of
            batches then add about 5 % each (docs/conventions.md), and stay stable up to 20.
        gamma: strength of the tether to w*, nats per squared weight.
        nbeta: n times inverse temperature; default n / log n.
        batch_size: samples drawn, with replacement, for each step of each chain. The default is the
            full data where that is smaller.
        seed: names every random stream together with checkpoint, chain and step.
        compile: compile the step with torch.compile; other bits than without, the same each time.
        threads: torch threads of the process that samples; part of a result's identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: Literal["sgld"] = "sgld"
    chains: int = Field(default=4, ge=1)
    burn_in: int = Field(default=1000, ge=0)
    draws: int = Field(default=2000, ge=8)
    step_size: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gamma: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    nbeta: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    batch_size: int = Field(default=256, ge=1)
    seed: int = 0
    compile: bool = False
    threads: int = Field(default=1, ge=1)

    @classmethod
    def of(cls, settings: "Settings | None" = None, **changes: Any) -> "Settings":
        """Settings with changes, checked.

        Raises:
            InputError: one line that names the setting.
        """
        if settings is not None and not isinstance(settings, Settings):
            raise InputError(f"settings is a {type(settings).__name__}: give tw.Settings(...), or names and values")
        unknown = [name for name in changes if name not in cls.model_fields]
        if unknown:
            raise InputError(f"unknown setting {unknown[0]!r}: there are {', '.join(cls.model_fields)}")
        base = settings.model_dump() if settings else {}
        try:
            return cls(**{**base, **changes})
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InputError(f"setting {name} = {first['input']!r}: {first['msg'].lower()}") from error

    def resolve(self, n: int, samples: int | None = None) -> "Settings":
        """The same with nbeta and step size filled in.

        Args:
            n: sample size of the theory.
            samples: there are; None where the full gradient is taken, of a potential.
        """
        nbeta = self.nbeta or n / log(n)
        noisy = samples is not None and self.batch_size < samples
        default = min(0.2 / nbeta, 0.2 * self.batch_size / nbeta**2) if noisy else 0.2 / nbeta
        return self.model_copy(update={"nbeta": nbeta, "step_size": self.step_size or default})

    @property
    def steps(self) -> int:
        """Steps of a chain in all."""
        return self.burn_in + self.draws
