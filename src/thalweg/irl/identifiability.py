"""What recorded choices cannot tell: directions of the class without information, and what each of them is.

    I = sum_s n_s sum_a p J J^T,   J = d log p(a|s) / d theta;   v is unseen where v^T I v is nothing

kind            a direction of theta that
constant        adds the same to every reward
shaping         adds a potential, and so changes no preference in the recorded environments
scale           lengthens theta, where the choice model is relative
not visited     would show in states, or environments, where no choice was recorded
flat            shows nowhere, or too little to tell from rounding: choices there are certain
seen            the choices tell

Rewards of the whole step (S, A, S) have one kind more, redistribution over next states under equal means, which a
class of rewards (S, A) does not hold. What is shaping here may matter under other dynamics: give the deployment.
Source: Skalse et al. 2022 (arXiv 2203.07475)."""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.irl._scoring import information, most_likely
from thalweg.irl.likelihood import Likelihood
from thalweg.mdp import MDP, Gains, levelled, return_range, single_gain

Kind = Literal["constant", "shaping", "scale", "not visited", "flat", "seen"]
CUT = 1e-9  # of the largest: an information, or a singular value, that is nothing


class Direction(NamedTuple):
    """A direction of theta.

    Attributes:
        kind: what it is.
        information: v^T I v, nats per squared weight over all choices.
        vector: (D,) of length 1.
        stake: return range of the reward along it in the deployment; None where none was given.
    """

    kind: Kind
    information: float
    vector: Tensor
    stake: float | None


@dataclass(frozen=True, eq=False)
class Identifiability:
    """Directions of a class, orthogonal, those without information first.

    Attributes:
        directions: D of them.
        eigenvalues: (D,) of the information, ascending.
        point: (width,) at which it was taken.
    """

    directions: tuple[Direction, ...]
    eigenvalues: Tensor
    point: Tensor

    @property
    def seen(self) -> int:
        """Directions that the choices tell; half of it is the learning coefficient of a regular model whose
        inverse temperature is known (a half more where it is inferred)."""
        return sum(d.kind == "seen" for d in self.directions)

    @property
    def dangerous(self) -> tuple[Direction, ...]:
        """Directions that the choices do not tell and that matter in the deployment, scale aside."""
        hidden = [d for d in self.directions if d.kind not in ("seen", "scale")]
        return tuple(d for d in hidden if d.stake is not None and d.stake > 0)


def identifiability(likelihood: Likelihood, point: Any = None, *, deployment: MDP | None = None) -> Identifiability:
    """Say of each direction of theta whether the choices tell it, and if not, why not.

    Kinds are found in the order of the table, each within what the ones before leave: exactly, by linear algebra on
    the class, but for the last two, which are of the information at the point.

    Args:
        likelihood: of the choices; its log inverse temperature, where free, is held at the point's.
        point: (width,) default the most likely.
        deployment: where an agent will act by these values, for `stake`.

    Returns:
        D orthogonal directions.

    Raises:
        InputError: no choices; a point, or a deployment, of another size.
    """
    if not likelihood.seen():
        raise InputError("no choice is recorded: there is nothing that could tell values")
    own = torch.Generator().manual_seed(0)
    at = most_likely(likelihood, own) if point is None else torch.as_tensor(point, dtype=torch.float64)
    if at.shape != (likelihood.width,):
        raise InputError(f"point has shape {tuple(at.shape)}: give ({likelihood.width},)")
    width = likelihood.values.weights
    visits = [counts.sum(-1) for counts in likelihood.counts]
    found = information(likelihood, at[None], visits)[0, :width, :width]
    everywhere = [torch.ones_like(counts) for counts in likelihood.counts]
    full = likelihood.with_counts(everywhere)
    all_of_it = information(full, at[None], [counts.sum(-1) for counts in everywhere])[0, :width, :width]
    spaces: list[tuple[Kind, Tensor]] = [("constant", _constants(likelihood)), ("shaping", _shaping(likelihood))]
    if likelihood.relative:
        spaces.append(("scale", at[:width, None]))
    unseen = _null(found)
    nowhere = unseen @ _null(unseen.T @ all_of_it @ unseen, float(all_of_it.diagonal().max()))
    spaces.extend([("not visited", _off(unseen, nowhere)), ("flat", nowhere)])
    known = found.new_zeros(width, 0)
    parts: list[tuple[Kind, Tensor]] = []
    for kind, space in spaces:
        new = _off(space, known)
        known = torch.cat([known, new], 1)
        parts.extend([(kind, new[:, i]) for i in range(new.shape[1])])
    rest = _off(torch.eye(width, dtype=torch.float64), known)
    turned = rest @ torch.linalg.eigh(rest.T @ found @ rest)[1]
    parts.extend([("seen", turned[:, i]) for i in range(turned.shape[1])])
    directions = tuple(
        Direction(kind, float(v @ found @ v), v, _stake(likelihood, v, deployment)) for kind, v in parts
    )
    return Identifiability(directions, torch.linalg.eigvalsh(found), at)


def reward_kind(mdp: MDP, reward: Any) -> Literal["redistribution", "constant", "shaping", "matters"]:
    """What adding a reward does to preferences in a process.

    Args:
        mdp: the process.
        reward: (S,), (S, A) or (S, A, S).

    Returns:
        `redistribution` where its mean over the next state is 0, harmless under these transitions alone; `constant`
        and `shaping` where every policy returns the same; `matters` elsewhere.

    Raises:
        InputError: a batch, a reward of another shape, or not finite.
    """
    gain = single_gain(mdp, reward)
    given = reward.each if isinstance(reward, Gains) else reward
    noise = CUT * float(torch.as_tensor(given, dtype=torch.float64).abs().max())
    if float(gain.abs().max()) <= noise:
        return "redistribution"
    if float(gain.max() - gain.min()) <= noise:
        return "constant"
    return "shaping" if return_range(mdp, gain) == 0 else "matters"


def _constants(likelihood: Likelihood) -> Tensor:
    """(D, K) directions whose reward is the same everywhere, in each environment."""
    gains = [likelihood.values.gains(world.actions).flatten(1) for world in _recorded(likelihood)]
    return _kernel(torch.cat([gain - gain.mean(1, keepdim=True) for gain in gains], 1).T, gains)


def _shaping(likelihood: Likelihood) -> Tensor:
    """(D, K) directions whose reward has no return range in any environment."""
    worlds = _recorded(likelihood)
    gains = [likelihood.values.gains(world.actions) for world in worlds]
    levels = [levelled(world, Gains(gain)).flatten(1) for world, gain in zip(worlds, gains, strict=True)]
    return _kernel(torch.cat(levels, 1).T, gains)


def _recorded(likelihood: Likelihood) -> list[MDP]:
    """Environments in which there are choices."""
    return [likelihood.environments[e] for e in likelihood.seen()]


def _kernel(matrix: Tensor, gains: list[Tensor]) -> Tensor:
    """(D, K) orthonormal columns that a matrix (M, D) takes to nothing, against the size of the features."""
    size = max(float(gain.abs().max()) for gain in gains)
    _, lengths, rows = torch.linalg.svd(matrix, full_matrices=True)
    short = torch.ones(matrix.shape[1], dtype=torch.bool)
    short[: len(lengths)] = lengths <= CUT * size * math.sqrt(matrix.shape[0])
    return rows[short].T


def _null(matrix: Tensor, size: float | None = None) -> Tensor:
    """(D, K) orthonormal columns along which a form has nothing, against its largest or a size."""
    lengths, columns = torch.linalg.eigh(matrix)
    largest = (float(lengths.max()) if len(lengths) else 0.0) if size is None else size
    return columns[:, lengths <= CUT * largest]


def _off(space: Tensor, known: Tensor) -> Tensor:
    """Orthonormal columns of what a space has beyond known orthonormal columns."""
    left = space - known @ (known.T @ space)
    left = left - known @ (known.T @ left)
    columns, lengths, _ = torch.linalg.svd(left, full_matrices=False)
    return columns[:, lengths > math.sqrt(CUT) * max(1.0, float(space.norm()) if space.numel() else 1.0)]


def _stake(likelihood: Likelihood, vector: Tensor, deployment: MDP | None) -> float | None:
    """Return range of the reward along a direction, where an agent will act."""
    if deployment is None:
        return None
    return float(return_range(deployment, likelihood.values.reward(vector, deployment.actions)))
