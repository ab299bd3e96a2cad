"""Certificates: bounds on Bob's regret by Alice's reward that hold, whatever stopped the computation."""

from thalweg.certificates.compose import certify
from thalweg.certificates.confidence_set import FiniteSet, finite_set, predicted_evidence
from thalweg.certificates.cover import Cover, covered
from thalweg.certificates.files import certify_agents, certify_files, read_agents
from thalweg.certificates.foreseen import check_class
from thalweg.certificates.gap import Gap
from thalweg.certificates.gaussian import certified_gap, drawn
from thalweg.certificates.gibbs import gibbs_bound, predicted_gap
from thalweg.certificates.learning import (
    empirical_bernstein,
    gaussian_divergence,
    hoeffding,
    kl_inverse,
    pac_bayes_kl,
    split_delta,
    truncation_tail,
)
from thalweg.certificates.parties import Alice, Asked, Bob, Candidates, Contextual, Counted, Drift, Known, Observed
from thalweg.certificates.quantities import (
    BesideSafe,
    Composed,
    Departed,
    FromStarts,
    NearlyOptimal,
    Quantity,
    Regret,
)
from thalweg.certificates.reflective import Planner, Reflection, reflect
from thalweg.certificates.regret import WorstRegret, composed_bound, worst_inversion, worst_regret
from thalweg.certificates.stability import Along, Continued, along, continued, drifted
from thalweg.certificates.statement import STATEMENT, Assumption, Certificate
from thalweg.certificates.supremum import Worst, supremum
from thalweg.certificates.tangents import check_ranges

__all__ = [
    "STATEMENT",
    "Alice",
    "Along",
    "Asked",
    "Assumption",
    "BesideSafe",
    "Bob",
    "Candidates",
    "Certificate",
    "Composed",
    "Contextual",
    "Continued",
    "Counted",
    "Cover",
    "Departed",
    "Drift",
    "FiniteSet",
    "FromStarts",
    "Gap",
    "Known",
    "NearlyOptimal",
    "Observed",
    "Planner",
    "Quantity",
    "Reflection",
    "Regret",
    "Worst",
    "WorstRegret",
    "along",
    "certified_gap",
    "certify",
    "certify_agents",
    "certify_files",
    "check_class",
    "check_ranges",
    "composed_bound",
    "continued",
    "covered",
    "drawn",
    "drifted",
    "empirical_bernstein",
    "finite_set",
    "gaussian_divergence",
    "gibbs_bound",
    "hoeffding",
    "kl_inverse",
    "pac_bayes_kl",
    "predicted_evidence",
    "predicted_gap",
    "read_agents",
    "reflect",
    "split_delta",
    "supremum",
    "truncation_tail",
    "worst_inversion",
    "worst_regret",
]
