"""A census of transitions."""

from thalweg.recipes.census.study import RECIPE

__all__ = ["RECIPE"]
