"""What a cover of a class will take, before its first cell is made.

D features start with 2^D cells, of D vertices; with D! of D + 1 where weights have a bound. A cover that starts with
as many as it may hold halves none of them, and tells nothing.
"""

from collections.abc import Callable
from math import lgamma, log

import numpy as np

from thalweg.certificates.confidence_set._simplices import counted
from thalweg.effort import affordable, announce, plain, seconds_of, spoken
from thalweg.errors import InputError
from thalweg.irl import Linear

POINTS = 50_000  # vertices at which plans are made at most
CROWD = 20  # cells for each vertex of the budget, at most
FEWEST = 100  # vertices for each dimension of a cell, at least, of a set that is closed in on
TRIED = 16  # vertices that are timed
BYTES = 32  # for each vertex of a cell: its number, in the lists before and after a halving
SECONDS = 2e-7  # for each number of a cell, vertices times weights
REMEDY = "state fewer features, or a finite list of candidates"


def check_class(values: Linear) -> None:
    """Refuse a class that starts with more cells than a cover ever holds; nothing is allocated.

    Raises:
        InputError: cells, memory, and how many features there may be.
    """
    d, bound = values.weights, values.bound
    limit = CROWD * POINTS
    size = d * log(2) if bound is None else lgamma(d + 1)  # of any D, without making the number
    if size <= log(limit):
        return
    law, width = ("2^D", d) if bound is None else ("D!", d + 1)
    most = max(n for n in range(1, 64) if counted(n, bound)[0] <= limit)
    memory = size + log(width * BYTES / 2**30)
    raise InputError(
        f"a class of {d} features starts with {law} = {_power(size)} cells, {_power(memory)} GiB, and a cover holds"
        f" {limit:,} at most ({most} features): {REMEDY}"
    )


def _power(size: float) -> str:
    """A number in words, of its logarithm."""
    return plain(np.exp(size)) if size < log(1e15) else f"10^{size / log(10):.0f}"


def check_time(read: Callable[[np.ndarray], object], values: Linear, budget: int) -> None:
    """Read a few vertices (N, D) by the clock; refuse what cannot end in a budget of them, and say what is long."""
    d = values.weights
    cells, width = counted(d, values.bound)
    points = (values.bound or 1.0) * np.eye(d)
    each = seconds_of(lambda: read(points[:1]))
    if each * TRIED < 1:  # many at once are cheaper
        each = seconds_of(lambda: read(np.tile(points, (-(-TRIED // d), 1))[:TRIED])) / TRIED
    vertices = min(budget, FEWEST * (width - 1))
    affordable(
        f"planning at {vertices} vertices of a class of {d} features, {spoken(each)} each,",
        "merge states or leave environments out; or state a finite list of candidates",
        seconds=each * vertices,
    )
    most = budget * each + CROWD * budget * SECONDS * width * d
    announce(
        f"covering a class of {d} features from {cells:,} cells on, with at most {budget:,} vertices at"
        f" {1e3 * each:.2g} ms, and as much again for each bound",
        most,
    )
