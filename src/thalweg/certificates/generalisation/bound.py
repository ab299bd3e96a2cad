"""A term of a certificate: a number with what it rests on, or the reason why there is none."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from thalweg.results import Result
from thalweg.runtime import finite

Kind = Literal["certified", "estimated", "predicted"]


@dataclass(frozen=True, kw_only=True)
class GeneralisationBound(Result):
    """A term in the units of its losses.

    Attributes:
        raw: the number, valid or not; inf where nothing could be computed.
        kind: "certified": a theorem for this n, whose assumptions are listed; "estimated": the theorem's number with
            Monte Carlo error that no theorem covers; "predicted": asymptotic theory. Only the first certifies.
        delta: chance, at most, that the truth is larger although all assumptions hold; None where none is known.
        assumptions: a sentence each.
        terms: what the number is made of.
        reasons: a sentence for each check that failed; then there is no value.
    """

    raw: float
    kind: Kind
    delta: float | None
    assumptions: tuple[str, ...]
    terms: dict[str, float] = field(repr=False)
    reasons: tuple[str, ...] = ()
    refusal: ClassVar[str] = "there is no {0.kind} value: {1}; .raw holds the number"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `value` is None where a check failed, and so is every number that is not finite."""
        return super().to_dict() | {
            "kind": self.kind,
            "delta": self.delta,
            "assumptions": list(self.assumptions),
            "terms": {name: finite(number) for name, number in self.terms.items()},
        }
