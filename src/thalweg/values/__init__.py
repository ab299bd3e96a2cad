"""Values: how far two rewards are apart, what a process can tell of them, and how they cross ontologies."""

from thalweg.values.distances import KINDS, levelled, regret_bound, return_range, reward_distance
from thalweg.values.mismatch import Departure, Mismatch, Pushed
from thalweg.values.occupancy import Visited, flow, hull_basis, hull_dimension, project, transition_rows, visited
from thalweg.values.ontology import Abstraction
from thalweg.values.pearson import dard_canonical, epic_canonical

__all__ = [
    "KINDS",
    "Abstraction",
    "Departure",
    "Mismatch",
    "Pushed",
    "Visited",
    "dard_canonical",
    "epic_canonical",
    "flow",
    "hull_basis",
    "hull_dimension",
    "levelled",
    "project",
    "regret_bound",
    "return_range",
    "reward_distance",
    "transition_rows",
    "visited",
]
