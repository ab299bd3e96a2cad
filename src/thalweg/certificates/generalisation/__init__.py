"""What a learner loses on all episodes or levels, from n of them: bounds that are proven, estimated, predicted."""

from thalweg.certificates.generalisation.bound import Gap
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

__all__ = [
    "Gap",
    "certified_gap",
    "drawn",
    "empirical_bernstein",
    "gaussian_divergence",
    "gibbs_bound",
    "hoeffding",
    "kl_inverse",
    "pac_bayes_kl",
    "predicted_gap",
    "split_delta",
    "truncation_tail",
]
