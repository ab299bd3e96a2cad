"""Inverse reinforcement learning: from choices to values, how a choice model fits, what choices cannot tell."""

from thalweg.irl._scoring import information, most_likely
from thalweg.irl.behaviour import Behaviour
from thalweg.irl.choice_models import LARGEST_INVERSE_TEMPERATURE, Boltzmann, ChoiceModel, Soft
from thalweg.irl.contextual import Contexts, by_context, prefers, worst_context
from thalweg.irl.goodness_of_fit.held_out import GoodnessOfFit, Statistic, dimensions_tested, goodness_of_fit
from thalweg.irl.identifiability import Direction, Identifiability, identifiability, reward_kind
from thalweg.irl.likelihood import Likelihood
from thalweg.irl.llc import Radius, behaviour_llc, predicted_radius
from thalweg.irl.policy_density import (
    DensityBound,
    bounded_density_regret,
    density_regret,
    implied_reward,
    probability_bounds,
)
from thalweg.irl.posterior import Posterior, hmc, smc
from thalweg.irl.reward_class import Linear

__all__ = [
    "LARGEST_INVERSE_TEMPERATURE",
    "Behaviour",
    "Boltzmann",
    "ChoiceModel",
    "Contexts",
    "DensityBound",
    "Direction",
    "GoodnessOfFit",
    "Identifiability",
    "Likelihood",
    "Linear",
    "Posterior",
    "Radius",
    "Soft",
    "Statistic",
    "behaviour_llc",
    "bounded_density_regret",
    "by_context",
    "density_regret",
    "dimensions_tested",
    "goodness_of_fit",
    "hmc",
    "identifiability",
    "implied_reward",
    "information",
    "most_likely",
    "predicted_radius",
    "prefers",
    "probability_bounds",
    "reward_kind",
    "smc",
    "worst_context",
]
