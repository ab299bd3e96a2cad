"""A census of transitions."""

from thalweg.recipes.census._study import RECIPE

__all__ = ["RECIPE"]
