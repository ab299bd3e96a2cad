"""What a survey logs at each checkpoint beside the coefficient: ours by name, and those from outside."""

from collections.abc import Callable
from dataclasses import dataclass

from thalweg.errors import guarded
from thalweg.estimators._hessian import log_determinant
from thalweg.landscape import Center, Landscape
from thalweg.registry import Registry
from thalweg.samplers import Settings


def _nothing_lacks(scape: Landscape, settings: Settings) -> str:
    return ""


@dataclass(frozen=True)
class Logged:
    """One quantity.

    Attributes:
        units: of its column.
        measure: (landscape at w*, what was read there, settings) -> number; None where it is of draws, which the
            survey takes.
        lacks: why it cannot be had of a landscape with such settings, and what to give; empty where it can.
    """

    units: str
    measure: Callable[[Landscape, Center, Settings], float] | None
    lacks: Callable[[Landscape, Settings], str] = _nothing_lacks


def measured(name: str, scape: Landscape, center: Center, settings: Settings) -> float | None:
    """A quantity at w*; None where it is of draws.

    Raises:
        InputError: no such quantity; it fails, or gives no number.
    """
    measure = LOGGED[name].measure
    if measure is None:
        return None
    with guarded(f"logged {name}", "leave it out, or mend what measures it"):
        return float(measure(scape, center, settings))


def _log_determinant(scape: Landscape, center: Center, settings: Settings) -> float:
    assert settings.nbeta is not None
    return log_determinant(scape, center, settings.nbeta, settings.gamma)


def _lacks_localization(scape: Landscape, settings: Settings) -> str:
    return "" if settings.gamma else "it needs a localization: give a gamma above 0"


def _lacks_draws(scape: Landscape, settings: Settings) -> str:
    if scape.data is None:
        return "a potential has no samples"
    return "" if settings.chains > 1 else "give at least 2 chains, whose draws differ"


LOGGED: Registry[Logged] = Registry(  # what a survey logs where it is asked to, by column
    "logged quantity",
    "thalweg.estimators",
    {
        "log_determinant": Logged("nats", _log_determinant, _lacks_localization),
        "functional_variance": Logged("nats^2, of all n samples, at nbeta", None, _lacks_draws),
    },
    lambda thing: isinstance(thing, Logged),
    "a Logged of thalweg.estimators",
)
