"""What an array must be, from its shape alone: nothing is read or widened that does not fit."""

from collections.abc import Callable

Shape = tuple[int, ...]
Wrong = Callable[[Shape], str | None]  # what is wrong with a shape, and what to give; None where it fits


def transitions(shape: Shape) -> str | None:
    """(S, A, S)."""
    fits = len(shape) == 3 and shape[0] == shape[2] and 0 not in shape
    return None if fits else f"transitions have shape {shape}: give (S, A, S)"


def start(states: int) -> Wrong:
    """(S,)."""

    def wrong(shape: Shape) -> str | None:
        fits = shape == (states,)
        return None if fits else f"start has shape {shape}, the process {states} states: give one for each"

    return wrong


def reward(states: int, actions: int, whose: str) -> Wrong:
    """(S,), (S, A) or (S, A, S)."""

    def wrong(shape: Shape) -> str | None:
        if shape in _rewards(states, actions):
            return None
        if len(shape) > 2 and shape[-2:] == (states, actions):
            return f"{whose} has shape {shape}, a batch: certify one reward at a time"
        return f"{whose}: reward has shape {shape}: give {_either(_rewards(states, actions))}"

    return wrong


def candidates(states: int, actions: int) -> Wrong:
    """(K, S), (K, S, A) or (K, S, A, S)."""

    def wrong(shape: Shape) -> str | None:
        if shape[1:] in _rewards(states, actions) and shape[0] > 0:
            return None
        return f"candidates have shape {shape}: give (K, {states}) or (K, {states}, {actions}), a reward for each"

    return wrong


def features(states: int, actions: int) -> Wrong:
    """(S, D) or (S, A, D)."""

    def wrong(shape: Shape) -> str | None:
        if len(shape) not in (2, 3) or 0 in shape:
            return f"features of shape {shape}: give finite numbers (S, D) or (S, A, D)"
        if shape[:-1] not in ((states,), (states, actions)):
            return (
                f"features {shape} do not fit a process of {states} states and {actions} actions: give (S, D) or"
                " (S, A, D)"
            )
        return None

    return wrong


def policies(states: int, actions: int, *, several: bool, whose: str) -> Wrong:
    """(S, A), and where several may be, (K, S, A)."""
    most = 3 if several else 2

    def wrong(shape: Shape) -> str | None:
        if shape[-2:] == (states, actions) and len(shape) <= most and shape[0] > 0:
            return None
        also = f" or (K, {states}, {actions}), K at least 1" if several else ", of one"
        return f"{whose}: policy has shape {shape}: give probabilities ({states}, {actions}){also}"

    return wrong


def weights(policies: Shape) -> Wrong:
    """(K,) for policies (K, S, A)."""

    def wrong(shape: Shape) -> str | None:
        if len(policies) != 3:
            return "nobody reads them beside one policy: leave the weights out, or give policies (K, S, A)"
        if shape == policies[:1]:
            return None
        return f"weights of Bob's {policies[0]} policies: they have shape {shape}: give a chance for each"

    return wrong


def log_policy(states: int, actions: int) -> Wrong:
    """(S, A)."""

    def wrong(shape: Shape) -> str | None:
        fits = shape == (states, actions)
        return None if fits else f"log probabilities have shape {shape}: give ({states}, {actions}), nats"

    return wrong


def _rewards(states: int, actions: int) -> tuple[Shape, ...]:
    """Shapes of a reward."""
    return (states,), (states, actions), (states, actions, states)


def _either(shapes: tuple[Shape, ...]) -> str:
    """In words."""
    *most, last = map(str, shapes)
    return f"{', '.join(most)} or {last}"
