"""Names of 0.1, each with the one that it has now: they work until 0.3.0, with a DeprecationWarning.

Only what the docs of 0.1 used is here; CONTRIBUTING has the table of all that moved.
"""

import warnings
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

_Taking = TypeVar("_Taking", bound=Callable[..., Any])

UNTIL = "0.3.0"  # when they go
# Rooms, in the order in which the names that a room of 0.1 offered are looked up today.
ROOMS = {
    "values": ("irl", "mdp"),
    "rl": ("mdp", "envs", "surfaces"),
    "certificates": ("mdp",),
}
# Names that are other words today.
NAMES = {
    "certificates.Asked": "StatedPolicy",
    "certificates.Counted": "ActionCounts",
    "certificates.Drift": "ModelError",
    "certificates.Gap": "GeneralisationBound",
    "certificates.Known": "KnownReward",
    "certificates.Observed": "Demonstrations",
    "values.Calibration": "GoodnessOfFit",
    "values.Floor": "MinimaxRegret",
    "values.Mismatch": "AbstractionError",
    "values.Rule": "ChoiceModel",
    "values.calibrate": "goodness_of_fit",
    "values.contextual_floor": "contextual_minimax_regret",
}


def old_name(room: str) -> Callable[[str], Any]:
    """`__getattr__` of a room that offered more in 0.1 than it does today.

    Args:
        room: its name in 0.1.
    """

    def found(name: str) -> Any:
        now = NAMES.get(f"{room}.{name}", name)
        for home in (room, *ROOMS[room]) if now != name else ROOMS[room]:
            offers = import_module(f"thalweg.{home}")
            if now in offers.__all__:
                told = f"thalweg.{room}.{name} is thalweg.{home}.{now} now; the old name goes with {UNTIL}"
                warnings.warn(told, DeprecationWarning, stacklevel=2)
                return getattr(offers, now)
        raise AttributeError(f"module 'thalweg.{room}' has no attribute {name!r}")

    return found


def old_keywords(**names: str) -> Callable[[_Taking], _Taking]:
    """Decorate a function, or a class, that took arguments by other names in 0.1.

    Args:
        names: of 0.1 -> of today.
    """

    def decorated(call: Any) -> Any:
        if isinstance(call, type):
            call.__init__ = decorated(call.__init__)
            return call

        @wraps(call)
        def taking(*given: Any, **named: Any) -> Any:
            for old, now in names.items():
                if old in named:
                    warnings.warn(f"{old}= is {now}= now; {old}= goes with {UNTIL}", DeprecationWarning, stacklevel=2)
                    named[now] = named.pop(old)
            return call(*given, **named)

        return taking

    return decorated


__all__ = ["NAMES", "ROOMS", "UNTIL", "old_keywords", "old_name"]
