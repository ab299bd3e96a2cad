"""Values: what behaviour tells of them, how far two rewards are apart, and how they cross ontologies."""

from thalweg.values.behaviour import Behaviour
from thalweg.values.calibration import Calibration, Statistic, calibrate, dimensions_tested
from thalweg.values.contextual import Contexts, by_context, prefers, worst_context
from thalweg.values.distances import KINDS, levelled, regret_bound, return_range, reward_distance
from thalweg.values.fitting import most_likely
from thalweg.values.floor import Floor, contextual_floor
from thalweg.values.identifiability import Direction, Identifiability, identifiability, reward_kind
from thalweg.values.inference import Posterior, hmc, smc
from thalweg.values.likelihood import Likelihood
from thalweg.values.linear import Linear
from thalweg.values.mismatch import Departure, Mismatch, ModelError, Pushed, model_error, two_policy_error
from thalweg.values.occupancy import Visited, flow, hull_basis, hull_dimension, project, visited
from thalweg.values.ontology import Abstraction
from thalweg.values.pearson import dard_canonical, epic_canonical
from thalweg.values.radius import Radius, behaviour_llc, predicted_radius
from thalweg.values.reward_free import (
    DensityBound,
    bounded_density_regret,
    density_regret,
    implied_reward,
    probability_bounds,
)
from thalweg.values.rules import SHARPEST, Boltzmann, Rule, Soft

__all__ = [
    "KINDS",
    "SHARPEST",
    "Abstraction",
    "Behaviour",
    "Boltzmann",
    "Calibration",
    "Contexts",
    "DensityBound",
    "Departure",
    "Direction",
    "Floor",
    "Identifiability",
    "Likelihood",
    "Linear",
    "Mismatch",
    "ModelError",
    "Posterior",
    "Pushed",
    "Radius",
    "Rule",
    "Soft",
    "Statistic",
    "Visited",
    "behaviour_llc",
    "bounded_density_regret",
    "by_context",
    "calibrate",
    "contextual_floor",
    "dard_canonical",
    "density_regret",
    "dimensions_tested",
    "epic_canonical",
    "flow",
    "hmc",
    "hull_basis",
    "hull_dimension",
    "identifiability",
    "implied_reward",
    "levelled",
    "model_error",
    "most_likely",
    "predicted_radius",
    "prefers",
    "probability_bounds",
    "project",
    "regret_bound",
    "return_range",
    "reward_distance",
    "reward_kind",
    "smc",
    "two_policy_error",
    "visited",
    "worst_context",
]
