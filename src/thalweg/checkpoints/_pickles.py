"""What a pickle would make, told from its bytes before any of it is made.

Torch runs none of its code, yet it builds what it is told to: millions of empty lists of a byte each, and tuples in
tuples so deep that the interpreter dies of their hash.
"""

import pickletools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thalweg.errors import InputError

MADE = 400_000  # objects beside numbers and words; a tensor takes six
STEPS = 1_500_000  # instructions; a tensor takes thirty
DEEP = 100  # tuples in tuples; a tensor has two
LEGACY = 5  # pickles, one behind the other, of what torch wrote before it wrote archives
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
TAKES = {  # objects that are taken for the one that is made, or stays
    **{"EMPTY_LIST": 0, "EMPTY_DICT": 0, "EMPTY_SET": 0, "REDUCE": 2, "NEWOBJ": 2},
    **{"BUILD": 2, "APPEND": 2, "SETITEM": 3, "BINPERSID": 1},
}
TO_MARK = ("APPENDS", "SETITEMS")


@dataclass
class _Machine:
    """The machine of a pickle, with the depth of its tuples in the place of every object."""

    stack: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[Any, int] = field(default_factory=dict)

    def step(self, name: str, given: Any) -> bool:
        """Follow an instruction; whether it made an object."""
        stack = self.stack
        if name == "MARK":
            self.marks.append(len(stack))
        elif name == "TUPLE" or name in TO_MARK:
            start = self.marks.pop()
            parts, stack[start:] = stack[start:], []
            if name == "TUPLE":
                stack.append(1 + max(parts, default=0))
        elif name in TUPLES:
            stack.append(1 + max([stack.pop() for _ in range(TUPLES[name])], default=0))
        elif name in TAKES:
            for _ in range(TAKES[name]):
                stack.pop()
            stack.append(0)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[given] = stack[-1]
        elif name != "PROTO":
            stack.append(self.memo[given] if name in ("BINGET", "LONG_BINGET") else 0)
        return name in TUPLES or name in TAKES or name == "TUPLE"


def check_pickles(path: Path, file: Any) -> None:
    """Follow the pickles at the beginning of a file.

    Raises:
        InputError: they make too many objects, or tuples in tuples too deep. What cannot be followed is no fault
            here: torch cannot follow it either, and says so.
    """
    save = "save the state dict alone, model.state_dict()"
    for _ in range(LEGACY):
        machine, made = _Machine(), 0
        try:
            for steps, (op, given, _) in enumerate(pickletools.genops(file)):
                made += machine.step(op.name, given)
                if made > MADE or steps > STEPS:
                    raise InputError(f"{path} holds objects by the million: {save}")
                if machine.stack and machine.stack[-1] > DEEP:
                    raise InputError(f"{path} holds tuples in tuples, more than {DEEP} deep: {save}")
        except InputError:
            raise
        except Exception:  # no pickle, or the numbers behind them
            return
