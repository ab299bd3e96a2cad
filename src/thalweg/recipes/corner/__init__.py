"""Cheese in the corner."""

from thalweg.recipes.corner.study import RECIPE

__all__ = ["RECIPE"]
