"""A certificate: how far Bob can stray by Alice's lights, the assumptions it stands on, and what it does not say."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from thalweg.results import Reasoned
from thalweg.runtime import finite

STATEMENT = (  # what a certificate says, before its numbers
    "If Alice chose by the stated rule with values in the stated class, and Bob faces exactly the stated decision"
    " process, then with probability at least 1 − δ over the recorded data Bob's expected discounted regret by those"
    " values is at most t of their return range. No amount of this data can establish the rule itself; nothing here"
    " bounds harm outside the model, rare harm inside the expectation, or values that Alice comes to hold later."
)
TESTED = "rule tested"  # of a shard: "rule tested [k]"

PARTS = ("exact", "lp", "t1")  # of which the least is the bound
SEEN = 1e-6  # slack that is said in words


@dataclass(frozen=True)
class Assumption:
    """What a certificate stands on.

    Attributes:
        name: short.
        status: `checked` by computation or by a test of the data, `assumed`, or `failed`.
        words: what it says, and what was found.
    """

    name: str
    status: Literal["checked", "assumed", "failed"]
    words: str


@dataclass(frozen=True)
class Certificate(Reasoned):
    """A bound of Bob's regret by Alice's values in one decision process; all shares are of her return range.

    Attributes:
        assumptions: all that it stands on.
        delta: chance over the recorded data that it fails although they hold; 0 where nothing was inferred from data.
        exact: supremum over her values of the regret of his policy; None where no policy was given.
        lp: supremum of the regret of any Bob as suboptimal as he is; None where no reward of his was given.
        t1: supremum of distance of values and his suboptimality over his range; None as `lp`.
        decomposition: of `t1`: `value_distance` (at her likeliest values), `learning_gap`, `statistical_radius`.
        per_start: supremum of the largest regret from a single first state, a share of the same range.
        beside_safe: supremum of regret over that of the named safe policy; None where none was named, or where
            that may lose nothing: by the digits of the input, or by the model error.
        realised: regret by her true reward, where it is known; of no use but to check the rest.
        tighter: what would make the bound smaller, the most first.
        floor: t*, least worst regret of any policy over contextual values that are known.
        slacks: by how much each number, by name, may exceed what it bounds: the arithmetic, what the digits of the
            input leave open, and searches that stopped.
    """

    assumptions: tuple[Assumption, ...]
    delta: float = 0.0
    exact: float | None = None
    lp: float | None = None
    t1: float | None = None
    decomposition: dict[str, float | None] = field(default_factory=dict)
    per_start: float | None = None
    beside_safe: float | None = None
    realised: float | None = None
    tighter: tuple[str, ...] = ()
    floor: float | None = None
    slacks: dict[str, float] = field(default_factory=dict)
    refusal: ClassVar[str] = "no certificate: {1}"

    @property
    def slack(self) -> float:
        """The largest of `slacks`, a share of her return range."""
        return max(self.slacks.values(), default=0.0)

    @property
    def failed(self) -> tuple[Assumption, ...]:
        """Assumptions that do not hold."""
        return tuple(a for a in self.assumptions if a.status == "failed")

    @property
    def reasons(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What does not hold; empty where there is a number."""
        return tuple(a.words for a in self.failed)

    @property
    def untested(self) -> str:
        """The sentence that goes before all others where no test stands behind the rule; empty where one does."""
        found = [a for a in self.assumptions if a.name.startswith(TESTED) and a.status == "assumed"]
        if not found:
            return ""
        words = "; ".join(f"{a.words}{a.name.removeprefix(TESTED)}" for a in found)
        return f"The rule by which Alice is said to choose was not tested ({words}); all that follows stands on it. "

    @property
    def issued(self) -> bool:
        """Whether there is a number."""
        return self.healthy

    @property
    def bound(self) -> float:
        """t: the tightest of what is known.

        Raises:
            UnhealthyError: an assumption failed.
        """
        self.trusted()
        return min(x for x in (self.exact, self.lp, self.t1) if x is not None)

    @property
    def statement(self) -> str:
        """What is certified, in the words that stand on every certificate, and its numbers."""
        known = [name for name in PARTS if getattr(self, name) is not None]
        loose = self._loose(min(known, key=lambda name: getattr(self, name)))
        return f"{self.untested}{STATEMENT} Here t = {self.bound:.4g}{loose} and δ = {self.delta:g}."

    @property
    def summary(self) -> str:
        """One line: the number and its parts, or why there is none."""
        if self.reasons:
            return f"No certificate: {'; '.join(self.reasons)}."
        parts = ", ".join(
            f"{name} {x:.4g}{self._loose(name)}"
            for name in ("exact", "lp", "t1", "per_start", "beside_safe")
            if (x := getattr(self, name)) is not None and (name in PARTS or self.slacks.get(name, 0.0) > SEEN)
        )
        sure = "" if self.delta == 0 else f", with probability {1 - self.delta:g} over the data"
        return f"{self.untested}Regret at most {self.bound:.4g} of Alice's return range ({parts}){sure}, if:"

    def _loose(self, name: str) -> str:
        """What of a number may be rounding, where that can be seen."""
        slack = self.slacks.get(name, 0.0)
        return f" (up to {slack:.2g} of it rounding and search)" if slack > SEEN else ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; no number where an assumption failed."""
        names = ("exact", "lp", "t1", "per_start", "beside_safe", "floor")
        numbers = {name: getattr(self, name) for name in names}
        return {
            "bound": self.bound if self.issued else None,
            **{name: finite(x) if self.issued else None for name, x in numbers.items()},
            "confidence": 1 - self.delta,
            "assumptions": [asdict(a) for a in self.assumptions],
            "decomposition": {name: finite(x) for name, x in self.decomposition.items()} if self.issued else {},
            "slack": self.slack if self.issued else None,
            "slacks": dict(self.slacks) if self.issued else {},
            "realised": self.realised,
            "tighter": list(self.tighter) if self.issued else [],
            "statement": self.statement if self.issued else STATEMENT,
        }
