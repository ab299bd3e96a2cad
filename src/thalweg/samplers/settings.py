"""Settings of a sampler: checked once, here; trusted everywhere else."""

from math import log, sqrt
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thalweg.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
EXACT = ("mala", "hmc")
BLOCK = 128  # steps between two saved states


class Settings(BaseModel):
    """How a localized posterior is sampled.

    Attributes:
        sampler: the algorithm. `mala` and `hmc` take the gradient of the full data and have the
            posterior's law exactly; the others may draw batches, and their step costs accuracy.
        chains: C, independent chains for each checkpoint.
        burn_in: steps that are thrown away, kept apart in the trace.
        draws: N, steps that count.
        step_size: eps of drift -(eps/2) grad U and noise sqrt(eps) xi; libraries that drift by eps
            take half of it. `hmc` and `sghmc` take h = sqrt(eps), for `hmc` the longest. Default
            0.2 / nbeta, or 0.2 B / nbeta^2 where batches of B are drawn and that is less: up to curvature
            1 nat per squared weight, the finite step and the noise of batches of `sgld` then add about
            5 % each (docs/conventions.md), and stay stable up to 20.
        gamma: strength of the tether to w*, nats per squared weight.
        nbeta: n times inverse temperature; default n / log n.
        batch_size: samples drawn, with replacement, for each step of each chain; all of them, without
            drawing, where there are no more.
        friction: of `sghmc`, per unit of time; default 0.2 / sqrt(eps).
        leaps: mean number of gradients in a trajectory of `hmc`; uniform from 1 to twice as many, less one.
        control_variates: draw batches of g_B(w) - g_B(w*) + g(w*) in the place of g_B(w): two gradients a
            step, and far less noise where the posterior is narrow.
        seed: names every random stream together with checkpoint, chain and step.
        compile: compile the step with torch.compile; other bits than without, the same each time.
        threads: torch threads of the process that samples; part of a result's identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sampler: Literal["sgld", "rmsprop_sgld", "sghmc", "mala", "hmc"] = "sgld"
    chains: int = Field(default=4, ge=1)
    burn_in: int = Field(default=1000, ge=0)
    draws: int = Field(default=2000, ge=8)
    step_size: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gamma: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    nbeta: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    batch_size: int = Field(default=256, ge=1)
    friction: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    leaps: int = Field(default=16, ge=1)
    control_variates: bool = False
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
        return checked(cls, {**(settings.model_dump() if settings else {}), **changes})

    def resolve(self, n: int, samples: int | None = None) -> "Settings":
        """The same with nbeta and step size filled in.

        Args:
            n: sample size of the theory.
            samples: there are; None where the full gradient is taken, of a potential.
        """
        nbeta = self.nbeta or n / log(n)
        noisy = samples is not None and self.batch_size < samples and not self.exact
        default = min(0.2 / nbeta, 0.2 * self.batch_size / nbeta**2) if noisy else 0.2 / nbeta
        step_size = self.step_size or default
        friction = self.friction or 0.2 / sqrt(step_size)
        return self.model_copy(update={"nbeta": nbeta, "step_size": step_size, "friction": friction})

    @property
    def exact(self) -> bool:
        """Whether the sampler accepts and refuses, and so takes the gradient of the full data."""
        return self.sampler in EXACT

    @property
    def block(self) -> int:
        """Steps between two saved states: about as many gradients for every sampler."""
        return BLOCK // 8 if self.sampler == "hmc" else BLOCK

    @property
    def steps(self) -> int:
        """Steps of a chain in all."""
        return self.burn_in + self.draws


def checked(model: type[Model], values: dict[str, Any]) -> Model:
    """A model of these values.

    Raises:
        InputError: one line that names the first setting that is out of its range.
    """
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"setting {name} = {first['input']!r}: {first['msg'].lower()}") from error
