"""Gymnasium's spaces: which actions a policy chooses from, and observations as tensors.

A space that is understood is read whole. A part that would be left out, a number outside its space, a value that
single precision does not hold: each is refused, for a policy that does not see it is a policy of another world.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.envs.base import Box, Discrete
from thalweg.errors import InputError

SEEN = ("Box", "Discrete", "MultiBinary", "MultiDiscrete")  # spaces of observations
VIEW = {"image", "direction", "mission"}  # what MiniGrid shows; the image is what a policy sees
ONES = 2**20  # longest one-hot observation
WHOLE = 2**24  # up to which float32 holds all whole numbers


def name(one: Any) -> str:
    """How an environment is called."""
    return one.spec.id if getattr(one, "spec", None) else type(one.unwrapped).__name__


def kind_of(space: Any) -> str:
    """Which of Gymnasium's spaces this is, also where a class of one's own is derived from it."""
    for kind in type(space).__mro__:
        if kind.__module__.startswith("gymnasium.spaces") and kind.__name__ != "Space":
            return kind.__name__
    own = type(space)
    return own.__name__ if own.__module__ == "builtins" else f"{own.__module__}.{own.__name__}"


def choices(one: Any) -> Discrete | Box:
    """What a policy chooses.

    Raises:
        InputError: a space of another kind, or whole numbers in a Box.
    """
    space: Any = getattr(one, "action_space", None)
    kind = kind_of(space)
    if kind == "Discrete":
        return Discrete(int(space.n))
    if kind == "Box" and len(space.shape) == 1 and space.dtype.kind == "f":
        low, high = space.low, space.high
        if np.isnan(low).any() or np.isnan(high).any() or not (low <= high).all():
            raise InputError(
                f"environment {name(one)} has actions from {low} to {high}: let each low be below its high"
            )
        return Box(tuple(low.tolist()), tuple(high.tolist()))
    given = f"{kind} of shape {space.shape} and type {space.dtype}" if kind == "Box" else kind
    raise InputError(
        f"environment {name(one)} has actions of kind {given}: only Discrete and flat Box are understood, in floating"
        " point: wrap it, gymnasium.wrappers.TransformAction"
    )


def action_of(one: Any, kind: Discrete | Box, chosen: Any) -> Any:
    """A policy's choice as the environment's own: a number from its space's start on, or (size,) put on bounds."""
    if isinstance(kind, Discrete):
        return int(one.action_space.start) + int(chosen)
    return np.clip(chosen, kind.low, kind.high).astype(one.action_space.dtype)


def check_seen(one: Any) -> None:
    """Refuse observations that would not be seen, or not whole.

    Raises:
        InputError: the kind of space, or the keys that are not understood.
    """
    space: Any = getattr(one, "observation_space", None)
    kind = kind_of(space)
    if kind == "Discrete" and space.n > ONES:
        raise InputError(
            f"environment {name(one)} has {space.n} observations, too many to be one-hot: wrap it to a Box"
        )
    if kind in SEEN or (kind == "Dict" and _is_view(one, set(space.keys())) and kind_of(space["image"]) == "Box"):
        return
    keys = f" ({', '.join(map(str, list(space.keys())[:8]))})" if kind == "Dict" else ""
    flat = getattr(space, "is_np_flattenable", False)
    wrapper = f"gymnasium.wrappers.{'FlattenObservation' if flat else 'TransformObservation'}"
    raise InputError(f"environment {name(one)} has observations of kind {kind}{keys}: wrap it to a Box, {wrapper}")


def see(one: Any, found: Any, shape: tuple[int, ...] | None) -> Tensor:
    """An observation as float32: numbers as they are, a number of a Discrete space one-hot, MiniGrid's image flat.

    Numbers outside a Box are given as they are: physics leaves bounds that were only declared.

    Raises:
        InputError: a kind that is not understood, another shape than before or than the space's, numbers that are
            not finite, not of their space, or too large for float32.
    """
    space: Any = one.observation_space
    kind, called = kind_of(space), f"environment {name(one)}"
    if kind == "Dict" and isinstance(found, dict) and _is_view(one, set(found)):
        numbers, wanted = _numbers(called, found["image"]).reshape(-1), None
    elif isinstance(found, dict | tuple) or kind not in SEEN:
        given = kind if kind not in SEEN else f"{kind}, and gives a {type(found).__name__}"
        raise InputError(f"{called} has observations of kind {given}: wrap it to a Box")
    elif kind == "Discrete":
        numbers, wanted = _one_hot(called, space, found), (int(space.n),)
    else:
        numbers, wanted = _numbers(called, found), tuple(space.shape)
    seen = torch.from_numpy(np.array(numbers, dtype=np.float32))  # a copy: some environments fill one array again
    if shape is not None and seen.shape != shape:
        raise InputError(f"{called} changes its observations from {tuple(shape)} to {tuple(seen.shape)}: mend it")
    if wanted is not None and tuple(seen.shape) != wanted:
        raise InputError(
            f"{called} gives observations of shape {tuple(seen.shape)}, its observation_space says {wanted}: mend one"
        )
    if not torch.isfinite(seen).all():
        raise InputError(f"{called} gives an observation that is not finite in float32: mend it")
    if kind in ("MultiBinary", "MultiDiscrete") and not _inside(space, kind, numbers):
        raise InputError(f"{called} gives an observation that is not in its {kind} space: mend one of the two")
    return seen


def _is_view(one: Any, keys: set[Any]) -> bool:
    """Whether these are an image alone, or what a MiniGrid room shows and no more."""
    return keys == {"image"} or ("image" in keys and keys <= VIEW and hasattr(one.unwrapped, "gen_obs"))


def _array(called: str, found: Any) -> np.ndarray:
    """What numpy makes of it."""
    try:
        return np.asarray(found)
    except Exception as error:  # rows of different lengths, tensors of another device
        raise InputError(f"{called} gives a {type(found).__name__} to observe: give an array of numbers") from error


def _numbers(called: str, found: Any) -> np.ndarray:
    """Real numbers of any type, whole ones no larger than float32 holds."""
    given = _array(called, found)
    if given.dtype.kind not in "biuf":
        raise InputError(
            f"{called} gives a {type(found).__name__} of type {given.dtype} to observe: give an array of numbers"
        )
    if given.dtype.kind in "iu" and given.size and max(abs(int(given.min())), abs(int(given.max()))) > WHOLE:
        raise InputError(
            f"{called} gives whole numbers above 2^24 to observe, which float32 does not hold: wrap and scale them"
        )
    with np.errstate(over="ignore"):  # told as not finite
        return given.astype(np.float32)


def _one_hot(called: str, space: Any, found: Any) -> np.ndarray:
    """A number of a Discrete space, counted from its start."""
    given = _array(called, found)
    if given.dtype.kind not in "iu" or given.shape != ():
        raise InputError(f"{called} gives the observation {short(found)}, no whole number of its {space}: mend it")
    place = int(given) - int(space.start)
    if not 0 <= place < int(space.n):
        raise InputError(
            f"{called} gives the observation {int(given)}, which is not in its {space}: mend one of the two"
        )
    row = np.zeros(int(space.n), dtype=np.float32)
    row[place] = 1.0
    return row


def _inside(space: Any, kind: str, numbers: np.ndarray) -> bool:
    """Whether numbers are in a space of many small choices."""
    if kind == "MultiBinary":
        return bool(((numbers == 0) | (numbers == 1)).all())
    place = numbers - getattr(space, "start", 0)
    return bool(((place >= 0) & (place < space.nvec) & (place == np.floor(place))).all())


def short(given: Any) -> str:
    """A value in one short line."""
    return " ".join(repr(given).split())[:40]
