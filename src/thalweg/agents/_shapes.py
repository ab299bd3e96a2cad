"""What is wrong with an array, from its shape alone: nothing is read or widened that does not fit.

Each says what to give, and None of a shape that fits.
"""

Shape = tuple[int, ...]


def transitions(shape: Shape) -> str | None:
    """(S, A, S)."""
    fits = len(shape) == 3 and shape[0] == shape[2] and 0 not in shape
    return None if fits else f"transitions have shape {shape}: give (S, A, S)"


def start(states: int, shape: Shape) -> str | None:
    """(S,)."""
    fits = shape == (states,)
    return None if fits else f"start has shape {shape}, the process {states} states: give one for each"


def reward(states: int, actions: int, whose: str, shape: Shape) -> str | None:
    """(S,), (S, A) or (S, A, S)."""
    if shape in (either := _rewards(states, actions)):
        return None
    if len(shape) > 2 and shape[-2:] == (states, actions):
        return f"{whose} has shape {shape}, a batch: certify one reward at a time"
    return f"{whose}: reward has shape {shape}: give {either[0]}, {either[1]} or {either[2]}"


def candidates(states: int, actions: int, shape: Shape) -> str | None:
    """(K, S), (K, S, A) or (K, S, A, S)."""
    if shape[1:] in _rewards(states, actions) and shape[0] > 0:
        return None
    return f"candidates have shape {shape}: give (K, {states}) or (K, {states}, {actions}), a reward for each"


def features(states: int, actions: int, shape: Shape) -> str | None:
    """(S, D) or (S, A, D)."""
    if len(shape) not in (2, 3) or 0 in shape:
        return f"features of shape {shape}: give finite numbers (S, D) or (S, A, D)"
    if shape[:-1] in ((states,), (states, actions)):
        return None
    return f"features {shape} do not fit a process of {states} states and {actions} actions: give (S, D) or (S, A, D)"


def policies(states: int, actions: int, several: bool, whose: str, shape: Shape) -> str | None:
    """(S, A), and where several may be, (K, S, A)."""
    if shape[-2:] == (states, actions) and len(shape) <= (3 if several else 2) and shape[0] > 0:
        return None
    also = f" or (K, {states}, {actions}), K at least 1" if several else ", of one"
    return f"{whose}: policy has shape {shape}: give probabilities ({states}, {actions}){also}"


def weights(policies: Shape, shape: Shape) -> str | None:
    """(K,) for policies (K, S, A)."""
    if len(policies) != 3:
        return "nobody reads them beside one policy: leave the weights out, or give policies (K, S, A)"
    if shape == policies[:1]:
        return None
    return f"weights of Bob's {policies[0]} policies: they have shape {shape}: give a chance for each"


def log_policy(states: int, actions: int, shape: Shape) -> str | None:
    """(S, A)."""
    fits = shape == (states, actions)
    return None if fits else f"log probabilities have shape {shape}: give ({states}, {actions}), nats"


def _rewards(states: int, actions: int) -> tuple[Shape, ...]:
    """Shapes of a reward."""
    return (states,), (states, actions), (states, actions, states)
