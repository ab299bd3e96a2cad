"""The toy model of superposition."""

from thalweg.recipes.superposition.study import RECIPE

__all__ = ["RECIPE"]
