"""Cheese in the corner."""

from thalweg.recipes.corner._study import RECIPE

__all__ = ["RECIPE"]
