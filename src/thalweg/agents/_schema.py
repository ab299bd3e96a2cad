"""What an agent file may say, key by key: kinds and ranges, and what one key says of another beside it.

What may stand in which of two files: `roles`.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetPydanticSchema, ValidationError
from pydantic_core import CoreSchema, core_schema

from thalweg.agents._toml import parsed
from thalweg.agents.worlds import WORLDS, Chance, Strict, World, WorldKind
from thalweg.errors import InputError, guarded, shown
from thalweg.irl import LARGEST_INVERSE_TEMPERATURE
from thalweg.old_names import UNTIL

Positive = Annotated[float, Field(gt=0)]
AtLeast0 = Annotated[float, Field(ge=0)]
InverseTemperature = Annotated[float, Field(gt=0, le=LARGEST_INVERSE_TEMPERATURE)]
Read = TypeVar("Read", bound=BaseModel)
RANGES = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}  # pydantic's words, and ours


class Values(Strict):
    """A reward: what letters of the map are worth a step, or the name of an array (S,), (S, A) or (S, A, S)."""

    cells: dict[str, float] | None = None
    array: str | None = None


class Choices(Strict):
    """Recorded choices, a CSV with the columns state and action, and how they are read.

    With `features` or with `candidates` and an inverse temperature; with neither, as counts of a chooser of any
    reward.
    """

    demonstrations: str
    features: list[str] | str | None = None
    candidates: str | None = None
    inverse_temperature: InverseTemperature | None = None
    relative: bool = True
    bound: Positive | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.05
    untested: bool = False  # take the choice model as it is though no test of it is possible
    contexts: int | None = Field(default=None, ge=1, le=100)  # of a column context, read from history: a reward each

    @property
    def counts(self) -> bool:
        """Whether they are counts alone."""
        return self.features is None and self.candidates is None


class Answers(Strict):
    """Log probabilities that she told, the name of an array (S, A); and her choice model."""

    log_policy: str
    inverse_temperature: InverseTemperature | None = None
    temperature: Positive | None = None


class StatedModelError(Strict):
    """How far Bob's process may be from the stated one."""

    transitions: Annotated[float, Field(ge=0, le=2)] = 0.0
    reward: AtLeast0 = 0.0
    bob_reward: AtLeast0 = 0.0


def _world(_: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """A world of ours; one from outside, which was read by its kind, as it is."""
    return core_schema.no_info_wrap_validator_function(
        lambda given, read: given if isinstance(given, WorldKind) else read(given),
        handler.generate_schema(World | None),
    )


class AgentFile(Strict):
    """One agent, as its file says."""

    name: Annotated[str, Field(max_length=100)] | None = None
    arrays: str | None = None
    world: Annotated[World | WorldKind | None, GetPydanticSchema(_world)] = None
    values: Values | None = None
    choices: Choices | None = None
    answers: Answers | None = None
    policy: str | None = None  # "optimal", or the name of an array (S, A), or (K, S, A) of a posterior
    weights: str | None = None  # the name of an array (K,)
    safe: str | None = None  # "even", or the name of an array (S, A)
    suboptimality: AtLeast0 | None = None
    suboptimality_share: Chance | None = None
    model_error: StatedModelError = StatedModelError()


KEYS_OF_01 = (  # section, key, what it is called today
    (None, "drift", "model_error"),
    ("choices", "sharpness", "inverse_temperature"),
    ("answers", "sharpness", "inverse_temperature"),
)
SECTIONS: dict[str, type[Strict]] = {
    "world": World,
    "values": Values,
    "choices": Choices,
    "answers": Answers,
    "model_error": StatedModelError,
}


def agent_file(path: Path) -> AgentFile:
    """Read what a file says; every key of a kind and in its range, none that contradicts another of its section.

    Raises:
        InputError: the file, the key and what to do about it.
    """
    found = _validated(path, AgentFile, _with_kind(path, _renamed(path, parsed(path))))
    for wrong in _contradictions(found):
        raise InputError(f"{path}: {wrong}")
    return found


def _renamed(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What a file says, with the keys of 0.1 by their names of today; refused where one has both."""
    found = {name: dict(part) if isinstance(part, dict) else part for name, part in told.items()}
    for section, old, now in KEYS_OF_01:
        place = found if section is None else found.get(section)
        if isinstance(place, dict) and old in place:
            if now in place:
                raise InputError(f"{path}: {old}: it is {now} now, which is given too: leave {old} out")
            warnings.warn(f"{path}: {old} is {now} now; {old} goes with {UNTIL}", DeprecationWarning, stacklevel=4)
            place[now] = place.pop(old)
    return found


def _validated(path: Path, model: type[Read], told: Any, at: tuple[str, ...] = ()) -> Read:
    """What a file says at a place, as its model has it; the first key that is wrong is refused."""
    try:
        return model.model_validate(told)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors(include_url=False)[0])
        raise InputError(f"{path}: {_told({**first, 'loc': (*at, *first['loc'])}, model)}") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError(f"{path}: a number of too many digits: give one that float64 holds") from error


def _with_kind(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What a file says, its world read by the kind that it names."""
    world = told.get("world")
    if not isinstance(world, dict) or "kind" not in world:
        return told
    name = world["kind"]
    if not isinstance(name, str) or name not in WORLDS:
        there = WORLDS.hint(str(name)) if WORLDS else "no kind is installed: give grid or arrays in its place"
        raise InputError(f"{path}: world.kind {shown(str(name))!r}: {there}")
    with guarded(f"{path}: world of kind {shown(name)!r}", "mend the distribution that gives it"):
        return {**told, "world": _validated(path, WORLDS[name], world, ("world",))}


def _told(error: dict[str, Any], model: type[BaseModel]) -> str:
    """What pydantic found, in our words: the place, the value, the remedy."""
    *above, last = (shown(str(part)) for part in error["loc"])
    place, given = ".".join([*above, last]), error["input"]
    if error["type"] == "extra_forbidden":
        return f"{place}: {_belongs(last, above, model)}"
    if error["type"] in RANGES:
        key, words = RANGES[error["type"]]
        return f"{place} {given:.6g}: give a number {words} {error['ctx'][key]:g}"
    return f"{place}: {error['msg']}"


def _belongs(key: str, above: list[str], model: type[BaseModel]) -> str:
    """Where a key stands that does not stand where it was found, or which keys do."""
    if issubclass(model, WorldKind):
        return f"nobody reads it: there are {', '.join(model.model_fields)}"
    places = [f"in [{name}]" for name, model in SECTIONS.items() if key in model.model_fields]
    places += ["before the first [section]"] if key in AgentFile.model_fields and key not in SECTIONS else []
    places += [f"as [{key}], no part of another section"] if key in SECTIONS else []
    if places:
        return f"nobody reads it here: it stands {' or '.join(places)}"
    there = SECTIONS.get(above[0], AgentFile) if above else AgentFile
    return f"nobody reads it: there are {', '.join(there.model_fields)}"


def _contradictions(file: AgentFile) -> Iterator[str]:
    """Of the keys of one section, whoever's file it is."""
    if file.name is not None and not file.name.isprintable():
        yield "name: give printable characters"
    if file.suboptimality is not None and file.suboptimality_share is not None:
        yield "suboptimality_share: give [values], and no suboptimality beside it"
    world, values, answers = file.world, file.values, file.answers
    if isinstance(world, World) and (world.grid is None) == (world.arrays is None):
        yield "world: give either grid or arrays"
    if isinstance(world, World) and world.grid is None and world.given("slip"):
        yield "world.slip: nobody reads it beside arrays, whose transitions say all: it belongs to a grid"
    if values is not None and (values.cells is None) == (values.array is None):
        yield "values: give either cells or array"
    if answers is not None and (answers.inverse_temperature is None) == (answers.temperature is None):
        yield "answers: give either inverse_temperature or temperature"
    if file.choices is not None:
        yield from _of_choices(file.choices)


def _of_no_effect(told: Choices) -> Iterator[str]:
    """Keys that say nothing beside the others, and one that is wanted."""
    if told.counts and told.given("relative"):
        yield "choices.relative: nobody reads it of counts alone: it belongs beside an inverse_temperature"
    for key, why in (("untested", "only there the choice model is tested"), ("bound", "it bounds their weights")):
        if told.given(key) and told.features is None:
            yield f"choices.{key}: nobody reads it without features: {why}"
    if told.bound is not None and told.relative:
        yield f"choices.bound {told.bound:g}: a choice model relative to the range sees no scale: leave it out"
    if told.features is not None and not told.relative and told.bound is None:
        yield "choices: a choice model in units of reward sees its scale: give a bound of the weights"


def _of_choices(told: Choices) -> Iterator[str]:
    """Of recorded choices and how they are read."""
    if told.features is not None and told.candidates is not None:
        yield "choices: give either features or candidates"
    if told.contexts is not None and told.features is None:
        yield "choices: contexts need features: a reward of the class for each"
    if told.counts != (told.inverse_temperature is None):
        what = "features or candidates" if told.counts else "inverse_temperature"
        yield f"choices: give {what} too, or, for counts alone, no inverse_temperature"
    yield from _of_no_effect(told)
    if told.features == []:
        yield "choices.features: give one letter of the map, or more"
    if isinstance(told.features, list) and len(set(told.features)) < len(told.features):
        yield "choices.features: a letter stands twice, and a feature that is a sum of others tells nothing"
