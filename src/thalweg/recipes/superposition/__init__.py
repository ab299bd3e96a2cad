"""The toy model of superposition."""

from thalweg.recipes.superposition._study import RECIPE

__all__ = ["RECIPE"]
