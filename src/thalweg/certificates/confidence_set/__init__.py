"""Sets of values that hold at every n, covered by cells, and the largest of a quantity on them."""

from thalweg.certificates.confidence_set.cost import check_class
from thalweg.certificates.confidence_set.cover import Cover, covered
from thalweg.certificates.confidence_set.finite import FiniteSet, finite_set, predicted_evidence
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
from thalweg.certificates.confidence_set.tangents import check_ranges

__all__ = [
    "BesideSafe",
    "Composed",
    "Cover",
    "Departed",
    "FiniteSet",
    "FromStarts",
    "NearlyOptimal",
    "Quantity",
    "Regret",
    "Worst",
    "check_class",
    "check_ranges",
    "covered",
    "finite_set",
    "predicted_evidence",
    "supremum",
]
