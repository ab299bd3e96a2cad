"""Certificates: bounds on Bob's regret by Alice's reward that hold, whatever stopped the computation."""

from thalweg.certificates.certificate import STATEMENT, Assumption, Certificate
from thalweg.certificates.certify import certify
from thalweg.certificates.confidence_set._cost import check_class
from thalweg.certificates.confidence_set._finite import FiniteSet, finite_set, predicted_evidence
from thalweg.certificates.confidence_set.cover import Cover, covered
from thalweg.certificates.confidence_set.quantities import (
    BesideSafe,
    Composed,
    Departed,
    FromStarts,
    NearlyOptimal,
    Quantity,
    Regret,
)
from thalweg.certificates.confidence_set.supremum import Worst, supremum
from thalweg.certificates.files import certify_agents, certify_files, read_agents
from thalweg.certificates.generalisation.bound import GeneralisationBound
from thalweg.certificates.generalisation.free_energy import gibbs_bound, predicted_gap
from thalweg.certificates.generalisation.gaussian import certified_gap, drawn
from thalweg.certificates.generalisation.pac_bayes import (
    empirical_bernstein,
    gaussian_divergence,
    hoeffding,
    kl_inverse,
    pac_bayes_kl,
    split_delta,
    truncation_tail,
)
from thalweg.certificates.parties import (
    ActionCounts,
    Alice,
    Bob,
    Candidates,
    Contextual,
    Demonstrations,
    KnownReward,
    ModelError,
    StatedPolicy,
)
from thalweg.certificates.self_modification import Planner, Reflection, reflect
from thalweg.certificates.stability import Along, Continued, along, continued, drifted
from thalweg.old_names import old_name

__all__ = [
    "STATEMENT",
    "ActionCounts",
    "Alice",
    "Along",
    "Assumption",
    "BesideSafe",
    "Bob",
    "Candidates",
    "Certificate",
    "Composed",
    "Contextual",
    "Continued",
    "Cover",
    "Demonstrations",
    "Departed",
    "FiniteSet",
    "FromStarts",
    "GeneralisationBound",
    "KnownReward",
    "ModelError",
    "NearlyOptimal",
    "Planner",
    "Quantity",
    "Reflection",
    "Regret",
    "StatedPolicy",
    "Worst",
    "along",
    "certified_gap",
    "certify",
    "certify_agents",
    "certify_files",
    "check_class",
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
]

__getattr__ = old_name("certificates")
