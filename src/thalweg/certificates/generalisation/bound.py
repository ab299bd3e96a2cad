"""A term of a certificate: a number with what it rests on, or the reason why there is none."""

from dataclasses import dataclass, field
from typing import Any, Literal

from thalweg.errors import UnhealthyError
from thalweg.runtime import finite

Kind = Literal["certified", "estimated", "predicted"]


@dataclass(frozen=True, kw_only=True)
class Gap:
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

    @property
    def healthy(self) -> bool:
        """Whether there is a value."""
        return not self.reasons

    @property
    def value(self) -> float:
        """The number.

        Raises:
            UnhealthyError: a check failed; `raw` holds the number.
        """
        if self.reasons:
            raise UnhealthyError(f"there is no {self.kind} value: {'; '.join(self.reasons)}; .raw holds the number")
        return self.raw

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `value` is None where a check failed, and so is every number that is not finite."""
        return {
            "value": finite(self.raw) if self.healthy else None,
            "raw": finite(self.raw),
            "kind": self.kind,
            "delta": self.delta,
            "assumptions": list(self.assumptions),
            "terms": {name: finite(number) for name, number in self.terms.items()},
            "reasons": list(self.reasons),
        }


__all__ = ["Gap", "Kind"]
