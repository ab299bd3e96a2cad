"""What a pickle would make, told from its bytes before any of it is made.

Torch runs none of its code, yet it builds what it is told: millions of empty lists of a byte each, and tuples in tuples
so deep that the interpreter dies of their hash.
"""

import pickletools
from pathlib import Path
from typing import Any

from thalweg.errors import InputError

MADE = 1_000_000  # objects beside numbers and words; a tensor takes six
DEEP = 100  # tuples in tuples; a tensor has two
LEGACY = 5  # pickles, one behind the other, of what torch wrote before it wrote archives
CONTAINERS = {"EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "LIST", "DICT", "REDUCE", "NEWOBJ", "OBJ", "INST", "FROZENSET"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def check_pickles(path: Path, file: Any, count: int = LEGACY) -> None:
    """Follow pickles as their machine would, of each object only the depth of its tuples.

    Args:
        path: named in the message.
        file: open for reading, at its beginning.
        count: of pickles in it.

    Raises:
        InputError: they make too many objects, or tuples in tuples too deep. What cannot be followed is no fault
            here: torch cannot follow it either, and says so.
    """
    made = 0
    for _ in range(count):
        stack: list[int] = []
        marks: list[int] = []
        memo: dict[int, int] = {}
        try:
            for op, given, _ in pickletools.genops(file):
                name = op.name
                if name == "MARK":
                    marks.append(len(stack))
                elif name in TUPLES:
                    parts = [stack.pop() for _ in range(TUPLES[name])]
                    stack.append(1 + max(parts))
                    made += 1
                elif name == "TUPLE":
                    start = marks.pop()
                    stack[start:] = [1 + max(stack[start:], default=0)]
                    made += 1
                elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
                    memo[given] = stack[-1]
                elif name == "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                elif name in ("BINGET", "LONG_BINGET", "GET"):
                    stack.append(memo[given])
                else:
                    _other(op, stack, marks)
                    made += name in CONTAINERS
                if made > MADE or (stack and stack[-1] > DEEP):
                    what = "tuples in tuples" if made <= MADE else f"more than {MADE:,} objects"
                    raise InputError(f"{path} holds {what}: save the state dict alone, model.state_dict()")
        except InputError:
            raise
        except Exception:  # it is no pickle, or its numbers have begun
            return


def _other(op: Any, stack: list[int], marks: list[int]) -> None:
    """Any other instruction: what it takes is gone, what it makes has no tuples of its own."""
    before, after = op.stack_before, op.stack_after
    if pickletools.markobject in before:
        del stack[marks.pop() :]
        before = before[: before.index(pickletools.markobject)]
    if op.name == "POP" and marks and marks[-1] == len(stack):
        marks.pop()
        return
    kept = stack[-1 - (len(before) - 1)] if op.name in ("DUP",) else 0
    if before:
        del stack[len(stack) - len(before) :]
    stack.extend([kept] * len(after))
