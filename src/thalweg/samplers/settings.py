"""Settings of a sampler: checked once, here; trusted everywhere else."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from math import log, sqrt
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError
from pydantic_core import PydanticCustomError

from thalweg.errors import InputError
from thalweg.old_names import old_keywords
from thalweg.samplers.algorithm import Algorithm
from thalweg.samplers.table import ALGORITHMS

BRACKETED = 8  # chains, from which on half of them start wide


class Choices(BaseModel):
    """Named choices that do not change once they are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @old_keywords(leaps="leapfrog_steps")
    def __init__(self, **choices: Any) -> None:
        """Take choices by name.

        Raises:
            InputError: one line that names the first that is unknown or out of its range.
        """
        known(choices, type(self).model_fields)
        try:
            super().__init__(**choices)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InputError(f"setting {name} = {first['input']!r}: {first['msg'].lower()}") from error

    @classmethod
    def of(cls, made: Self | None = None, **changes: Any) -> Self:
        """The same with changes, checked."""
        return cls(**{**(made.model_dump() if made else {}), **changes})


def known(names: Iterable[str], fields: Collection[str]) -> None:
    """Refuse a name that is none of the fields.

    Raises:
        InputError: the name, and the one that is nearest to it, or all.
    """
    for name in names:
        if name not in fields:
            near = get_close_matches(name, fields, 1)
            hint = f"is it {near[0]!r}?" if near else f"there are {', '.join(sorted(fields))}"
            raise InputError(f"unknown setting {name!r}: {hint}")


def _is_sampler(name: Any) -> str:
    """A name that the table of samplers has; nothing of a plug-in is imported for it."""
    if isinstance(name, str) and name in ALGORITHMS:
        return name
    *most, last = (repr(known) for known in ALGORITHMS)
    near = get_close_matches(name, list(ALGORITHMS), 1) if isinstance(name, str) else []
    hint = f": is it {near[0]!r}?" if near else ""
    raise PydanticCustomError(
        "sampler", "Input should be {names} or {last}{hint}", {"names": ", ".join(most), "last": last, "hint": hint}
    )


class Settings(Choices):
    """How a localized posterior is sampled.

    Attributes:
        sampler: the algorithm, of `thalweg.samplers.ALGORITHMS`. `mala` and `hmc` take the gradient of the full
            data and have the posterior's law exactly; the others may draw batches, and their step costs accuracy.
        chains: C, independent chains for each checkpoint. From 8 on every second one starts wider than the posterior,
            and the others at w*: what has not relaxed lies between the two.
        burn_in: steps that are thrown away, kept apart in the trace.
        draws: N, steps that count.
        step_size: eps of drift -(eps/2) grad U and noise sqrt(eps) xi; libraries that drift by eps
            take half of it. `hmc` and `sghmc` take h = sqrt(eps), for `hmc` the longest. Default
            0.2 / nbeta, or 0.2 B / nbeta^2 where batches of B are drawn and that is less: up to curvature
            1 nat per squared weight, the finite step and the noise of batches of `sgld` then add about
            5 % each (docs/conventions.md), and stay stable up to 20.
        gamma: strength of the localization to w*, nats per squared weight.
        nbeta: n times inverse temperature; default n / log n.
        batch_size: samples drawn, with replacement, for each step of each chain; all of them, without
            drawing, where there are no more.
        friction: of `sghmc`, per unit of time; default 0.2 / sqrt(eps).
        leapfrog_steps: mean number of gradients in a trajectory of `hmc`; uniform from 1 to twice as many, less one.
        control_variates: draw batches of g_B(w) - g_B(w*) + g(w*) in the place of g_B(w): two gradients a
            step, and far less noise where the posterior is narrow.
        seed: names every random stream together with checkpoint, chain and step.
        compile: compile the step with torch.compile; other bits than without, the same each time.
        threads: torch threads of the process that samples; part of a result's identity.
    """

    sampler: Annotated[str, PlainValidator(_is_sampler)] = "sgld"
    chains: int = Field(default=4, ge=1)
    burn_in: int = Field(default=1000, ge=0)
    draws: int = Field(default=2000, ge=8)
    step_size: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gamma: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    nbeta: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    batch_size: int = Field(default=256, ge=1)
    friction: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    leapfrog_steps: int = Field(default=16, ge=1)
    control_variates: bool = False
    seed: int = 0
    compile: bool = False
    threads: int = Field(default=1, ge=1)

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
    def algorithm(self) -> Algorithm:
        """The sampler.

        Raises:
            InputError: a plug-in that cannot be had.
        """
        return ALGORITHMS[self.sampler]

    @property
    def bracketed(self) -> bool:
        """Whether half of the chains start wide: where there are enough for their own spread to be the error."""
        return self.chains >= BRACKETED and self.gamma > 0

    @property
    def exact(self) -> bool:
        """Whether the sampler accepts and refuses, and so takes the gradient of the full data."""
        return self.algorithm.exact

    @property
    def block(self) -> int:
        """Steps between two saved states: about as many gradients for every sampler."""
        return self.algorithm.block

    @property
    def gradients(self) -> float:
        """Gradients in a step, in the mean."""
        return self.leapfrog_steps if self.algorithm.trajectories else 1.0

    @property
    def steps(self) -> int:
        """Steps of a chain in all."""
        return self.burn_in + self.draws
