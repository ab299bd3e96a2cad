"""Exact learning coefficients, and exact values at finite n, against which estimates are held.

Closed forms are here and return exact rationals; `finite` holds nbeta E[K] of localized posteriors.

    tw.theory.deep_linear([3, 3, 3, 3], rank=1)          Coefficient(llc=Fraction(4, 1), multiplicity=3)
    tw.theory.finite.reduced_rank_origin(2, 2, 2, nbeta=1000, gamma=1)
"""

from thalweg.theory import finite, superposition_loss
from thalweg.theory.coefficient import Coefficient, UpperBound, product_of, sum_of
from thalweg.theory.factors import (
    factor_analysis,
    latent_forest,
    nonnegative_matrix_factorization,
    stochastic_matrix_factorization,
)
from thalweg.theory.germs import homogeneous, normal_crossing, regular
from thalweg.theory.linear import deep_linear, reduced_rank, reduced_rank_local
from thalweg.theory.mixtures import contaminated_normal, gaussian_mixture, mixture_bound
from thalweg.theory.networks import relu_pair, relu_unit, tanh_network, vandermonde
from thalweg.theory.superposition import superposition_gon
from thalweg.theory.toric import monomial_squares

__all__ = [
    "Coefficient",
    "UpperBound",
    "contaminated_normal",
    "deep_linear",
    "factor_analysis",
    "finite",
    "gaussian_mixture",
    "homogeneous",
    "latent_forest",
    "mixture_bound",
    "monomial_squares",
    "nonnegative_matrix_factorization",
    "normal_crossing",
    "product_of",
    "reduced_rank",
    "reduced_rank_local",
    "regular",
    "relu_pair",
    "relu_unit",
    "stochastic_matrix_factorization",
    "sum_of",
    "superposition_gon",
    "superposition_loss",
    "tanh_network",
    "vandermonde",
]
