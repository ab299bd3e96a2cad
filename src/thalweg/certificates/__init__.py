"""Certificates: bounds on Bob's regret by Alice's reward that hold, whatever stopped the computation."""

from thalweg.certificates.certificate import STATEMENT, Assumption, Certificate
from thalweg.certificates.certify import certify
from thalweg.certificates.confidence_set import (
    BesideSafe,
    Composed,
    Cover,
    Departed,
    FiniteSet,
    FromStarts,
    NearlyOptimal,
    Quantity,
    Regret,
    Worst,
    check_class,
    check_ranges,
    covered,
    finite_set,
    predicted_evidence,
    supremum,
)
from thalweg.certificates.deployment import deployed
from thalweg.certificates.generalisation import (
    Gap,
    certified_gap,
    drawn,
    empirical_bernstein,
    gaussian_divergence,
    gibbs_bound,
    hoeffding,
    kl_inverse,
    pac_bayes_kl,
    predicted_gap,
    split_delta,
    truncation_tail,
)
from thalweg.certificates.inputs import one_reward
from thalweg.certificates.parties import Alice, Asked, Bob, Candidates, Contextual, Counted, Drift, Known, Observed
from thalweg.certificates.self_modification import Planner, Reflection, reflect
from thalweg.certificates.stability import Along, Continued, along, continued, drifted
from thalweg.old_names import old_name

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
    "along",
    "certified_gap",
    "certify",
    "check_class",
    "check_ranges",
    "continued",
    "covered",
    "deployed",
    "drawn",
    "drifted",
    "empirical_bernstein",
    "finite_set",
    "gaussian_divergence",
    "gibbs_bound",
    "hoeffding",
    "kl_inverse",
    "one_reward",
    "pac_bayes_kl",
    "predicted_evidence",
    "predicted_gap",
    "reflect",
    "split_delta",
    "supremum",
    "truncation_tail",
]

__getattr__ = old_name("certificates")
