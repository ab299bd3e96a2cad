"""Certificates: bounds on Bob's regret by Alice's reward that hold, whatever stopped the computation."""

from thalweg.certificates.regret import WorstRegret, composed_bound, worst_inversion, worst_regret

__all__ = ["WorstRegret", "composed_bound", "worst_inversion", "worst_regret"]
