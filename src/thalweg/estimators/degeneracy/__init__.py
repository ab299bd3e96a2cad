"""How degenerate a point is: ranks, and the null directions behind them."""

from thalweg.estimators.degeneracy.paths import NullPath, NullReport, null_directions
from thalweg.estimators.degeneracy.rank import Rank, bounds, rank

__all__ = [
    "NullPath",
    "NullReport",
    "Rank",
    "bounds",
    "null_directions",
    "rank",
]
