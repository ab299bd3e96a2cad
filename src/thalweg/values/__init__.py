"""Values: what behaviour tells of them, how far two rewards are apart, and how they cross ontologies."""

from thalweg.values.behaviour import Behaviour
from thalweg.values.distances import KINDS, levelled, regret_bound, return_range, reward_distance
from thalweg.values.linear import Linear
from thalweg.values.mismatch import Departure, Mismatch, Pushed
from thalweg.values.occupancy import Visited, flow, hull_basis, hull_dimension, project, transition_rows, visited
from thalweg.values.ontology import Abstraction
from thalweg.values.pearson import dard_canonical, epic_canonical
from thalweg.values.rules import Boltzmann, Rule, Soft

__all__ = [
    "KINDS",
    "Abstraction",
    "Behaviour",
    "Boltzmann",
    "Departure",
    "Linear",
    "Mismatch",
    "Pushed",
    "Rule",
    "Soft",
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
