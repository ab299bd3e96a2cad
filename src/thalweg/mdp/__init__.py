"""Markov decision processes: planning, valuation, occupancies, distances, worst regrets, with bounds."""

from thalweg.mdp._canonical_rewards import dard_canonical, epic_canonical
from thalweg.mdp._policy_iteration import ROUNDS, Plan, entropy, log_entropy
from thalweg.mdp._rows import DENSE, Visited, mixture, visited
from thalweg.mdp._scaled_reward import Earned
from thalweg.mdp._value_bounds import shortfall, spans
from thalweg.mdp.abstraction import Abstraction
from thalweg.mdp.levels import Levels, backed_up
from thalweg.mdp.minimax_regret import MinimaxRegret, contextual_minimax_regret, each_of, ranged, shares
from thalweg.mdp.model_error import (
    AbstractionError,
    LargestError,
    ModelErrorBound,
    Pushed,
    model_error_bound,
    two_policy_error,
)
from thalweg.mdp.occupancy import flow, project, single_gain
from thalweg.mdp.planning import LARGEST, Planned, follow, plan, planned, scale, single
from thalweg.mdp.probabilities import EPS, POLICY, distributions, half_unit, numbers, one_number
from thalweg.mdp.process import MDP, Gains
from thalweg.mdp.reward_distance import KINDS, levelled, regret_bound, return_range, reward_distance
from thalweg.mdp.valuation import FINEST, Interval, Valuation, valuation
from thalweg.mdp.worst_regret.batch import worst_regrets
from thalweg.mdp.worst_regret.worst_regret import WorstRegret, composed_bound, worst_inversion, worst_regret

__all__ = [
    "DENSE",
    "EPS",
    "FINEST",
    "KINDS",
    "LARGEST",
    "MDP",
    "POLICY",
    "ROUNDS",
    "Abstraction",
    "AbstractionError",
    "Earned",
    "Gains",
    "Interval",
    "LargestError",
    "Levels",
    "MinimaxRegret",
    "ModelErrorBound",
    "Plan",
    "Planned",
    "Pushed",
    "Valuation",
    "Visited",
    "WorstRegret",
    "backed_up",
    "composed_bound",
    "contextual_minimax_regret",
    "dard_canonical",
    "distributions",
    "each_of",
    "entropy",
    "epic_canonical",
    "flow",
    "follow",
    "half_unit",
    "levelled",
    "log_entropy",
    "mixture",
    "model_error_bound",
    "numbers",
    "one_number",
    "plan",
    "planned",
    "project",
    "ranged",
    "regret_bound",
    "return_range",
    "reward_distance",
    "scale",
    "shares",
    "shortfall",
    "single",
    "single_gain",
    "spans",
    "two_policy_error",
    "valuation",
    "visited",
    "worst_inversion",
    "worst_regret",
    "worst_regrets",
]
