"""The training step of a checkpoint: what its file states, or what its name says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from thalweg.errors import InputError, shown

KEYS = ("step", "global_step", "num_timesteps")  # in files
CLOCKS = ("step", "iter", "epoch")  # in names, the first that is there counts
STEPS = 2**63  # the first number that is no step, for stores
WHOLE = "a step is a whole number from 0 to 2^63 - 1"
WORD = r"(?:(?:global|grad(?:ient)?|time|train(?:ing)?|num|env)[_-]?)*(step|iter(?:ation)?|epoch)(s?)"
GAP = r"[=_\-. :]{0,3}"
BEFORE = re.compile(rf"(?<![a-z]){WORD}{GAP}$")
AFTER = re.compile(rf"[_\-. ]?{WORD}(?![a-z])({GAP}[0-9])?")
NUMBER = re.compile(
    r"(?P<sign>(?<=[=_])-)?(?P<point>(?<=[=_\-])\.)?"
    r"(?P<digits>[0-9]+(?:\.[0-9]+)*(?:e[+-]?[0-9]{1,3}(?![0-9a-z]))?)(?P<unit>[a-z]*)",
    re.IGNORECASE,
)
VERSION = re.compile(r"(?<![a-z])v$")
OTHER = re.compile(rf"(?<![a-z])(?:seed|rank|fold|loss|acc|lr){GAP}$")  # what a number alone may be beside a step
THOUSANDS = re.compile(r"(?<![0-9])[0-9]{1,3}(?:,[0-9]{3}|[ _]000)+(?![0-9])")
SHARD = re.compile(r"[0-9]+-of-[0-9]+")
UNITS = {"": 1, "k": 1000, "K": 1000, "M": 10**6}


@dataclass(frozen=True)
class Stated:
    """A step, and where it was read.

    Attributes:
        step: training step.
        source: in words.
        clock: what it counts, of `CLOCKS`; empty where nothing says so.
    """

    step: int
    source: str
    clock: str = ""


@dataclass(frozen=True)
class _Number:
    """A number in a name."""

    text: str
    whole: int | None  # None where it is no whole number of 63 bits
    called: str  # of CLOCKS, "other" for what is certainly none, or empty
    plain: bool  # a whole number that nothing names, no part of a version


def stated(path: Path, meta: Mapping[str, Any]) -> Stated | None:
    """The step among the values beside the weights; a tensor of such a name is none.

    Raises:
        InputError: it is no whole number of 63 bits, or two of them differ.
    """
    found: list[Stated] = []
    for key in KEYS:
        value = meta.get(key)
        if isinstance(value, int | float | str):
            step = _whole(value)
            if step is None:
                raise InputError(f"{path} states {key} {told(value)}: {WHOLE}")
            found.append(Stated(step, f"{key!r} in the file", "step"))
    for other in found[1:]:
        if other.step != found[0].step:
            both = f"{found[0].source.split()[0]} {found[0].step} and {other.source.split()[0]} {other.step}"
            raise InputError(f"{path} states {both}: which of them is the step? save one of them alone")
    return found[0] if found else None


def told(value: float | str) -> str:
    """What was given for a step, short."""
    if isinstance(value, str):
        return shown(value)
    return str(value) if not abs(value) >= 10 * STEPS else "of more than 64 bits"  # so that NaN is told


def _whole(value: float | str) -> int | None:
    """A step, or None for any other number or text."""
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 30 else -1
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        return None
    return int(value) if 0 <= value < STEPS else None


def named(path: Path) -> dict[str, Stated]:
    """The steps in a file's name by what they count; by an empty word the only number, where none is called so.

    `epoch=1-val_loss=0.91` is of epoch 1, `step_2e4` of step 20000, `ppo_2048_steps` of step 2048, `ppo_512` of 512;
    `run_100_seed0` may be of 100 or of 0.

    Raises:
        InputError: a part of a model; two numbers that may be meant; one that is called a step and is none.
    """
    if SHARD.search(path.stem):
        raise InputError(f"{path.name} is a part of a model in several files: put them together into one")
    parted = THOUSANDS.search(path.stem)
    if parted:
        whole = re.sub("[^0-9]", "", parted[0])
        raise InputError(f"{path.name} may be of step {whole}, in parts: rename it to name-step{whole}{path.suffix}")
    numbers = [_number(path.stem, match) for match in NUMBER.finditer(path.stem)]
    found = {}
    for clock in CLOCKS:
        values = {n.whole: n for n in numbers if n.called == clock}
        if not values:
            continue
        texts = " or ".join(dict.fromkeys(n.text for n in values.values()))
        if len(values) > 1:
            raise InputError(f"{path.name} may be of {clock} {texts}: rename it to name-STEP{path.suffix}")
        whole = next(iter(values))
        if whole is None:
            raise InputError(f"{path.name} is of {clock} {texts}: {WHOLE}")
        found[clock] = Stated(whole, f"{clock!r} in its name", clock)
    return found or _alone(path, numbers)


def _alone(path: Path, numbers: list[_Number]) -> dict[str, Stated]:
    """The only number of a name, if there is one."""
    plain = {n.whole: n for n in numbers if n.plain}
    if len(plain) > 1:
        texts = " or ".join(n.text for n in plain.values())
        raise InputError(f"{path.name} may be of step {texts}: rename it to name-stepN{path.suffix}")
    number = next(iter(plain.values()), None)
    if number is None or number.called == "other":
        return {}
    if number.whole is None:
        raise InputError(f"{path.name} is of step {number.text}: {WHOLE}")
    return {"": Stated(number.whole, "the number in its name")}


def _number(stem: str, match: re.Match[str]) -> _Number:
    """A number of a name, by its digits and by the words around it."""
    before, unit = stem[: match.start()].lower(), match["unit"]
    called, end = _called(stem.lower(), before, match, unit)
    whole, large = _value(match["digits"], UNITS.get("" if end else unit))
    if match["sign"] or match["point"]:
        whole, large = None, False
    alone = not called and unit in ("", "k", "K") and "." not in match["digits"] and not VERSION.search(before)
    text = stem[match.start("digits") : match.end("digits") if end else match.end()]
    text = f"{'-' if match['sign'] else ''}{'.' if match['point'] else ''}{text}"
    return _Number(
        text, whole, called or ("other" if OTHER.search(before) else ""), alone and (large or whole is not None)
    )


def _called(stem: str, before: str, match: re.Match[str], unit: str) -> tuple[str, bool]:
    """The clock of a number, by the word before it or, if there is none, behind it; whether that begins at once."""
    word = BEFORE.search(before)
    if word:
        return _clock(word[1]), False
    glued = unit not in UNITS
    after = AFTER.match(stem, match.end("digits" if glued else "unit"))
    if after is None or (after[3] and not after[2]):  # `run_3_step_1000`: the word belongs to the number behind it
        return "", False
    return _clock(after[1]), glued


def _clock(word: str) -> str:
    """`iteration` is `iter`."""
    return "iter" if word.startswith("iter") else word


def _value(digits: str, factor: int | None) -> tuple[int | None, bool]:
    """Digits as a whole number of 63 bits, or None; whether they are a larger one."""
    if digits.count(".") > 1 or factor is None:
        return None, False
    value = Decimal(digits)
    if value >= STEPS:
        return None, True
    value *= factor
    return (None, value >= STEPS) if value >= STEPS or value != value.to_integral_value() else (int(value), False)
