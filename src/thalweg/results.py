"""A number, or the reasons why there is none: what all results of measurements and theorems share.

A result is a value either way. Whoever asks for its `value` where a check failed is told why; `raw` is there for who
wants the number all the same.
"""

from typing import Any, ClassVar

from thalweg.errors import UnhealthyError
from thalweg.runtime import finite


class Reasoned:
    """What may come with reasons not to use it; base of frozen dataclasses with that field.

    Attributes:
        reasons: a sentence for each check that failed; empty where all is well.
        refusal: what is said of it then, from the object and its reasons.
    """

    reasons: tuple[str, ...]
    refusal: ClassVar[str] = "there is no value: {1}"

    @property
    def healthy(self) -> bool:
        """Whether it is to be used."""
        return not self.reasons

    def trusted(self) -> None:
        """Do nothing where it is to be used.

        Raises:
            UnhealthyError: a check failed, with its reasons.
        """
        if not self.healthy:
            raise UnhealthyError(self.refusal.format(self, "; ".join(self.reasons)))


class Result(Reasoned):
    """A number, or the reasons why there is none; base of frozen dataclasses with these fields.

    Attributes:
        raw: the number, healthy or not.
    """

    raw: float

    @property
    def value(self) -> float:
        """The number.

        Raises:
            UnhealthyError: a check failed; `raw` holds the number.
        """
        self.trusted()
        return self.raw

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `value` is None where a check failed, and so is every number that is not finite."""
        raw = finite(self.raw)
        return {"value": raw if self.healthy else None, "raw": raw, "reasons": list(self.reasons)}


__all__ = ["Reasoned", "Result"]
