"""The worst regret of a nearly optimal policy: dual, programme, proof."""

from thalweg.mdp.worst_regret.batch import worst_regrets
from thalweg.mdp.worst_regret.worst_regret import WorstRegret, composed_bound, worst_inversion, worst_regret

__all__ = [
    "WorstRegret",
    "composed_bound",
    "worst_inversion",
    "worst_regret",
    "worst_regrets",
]
