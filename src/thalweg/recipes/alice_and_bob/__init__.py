"""Alice, Bob, and what is certified of them."""

from thalweg.recipes.alice_and_bob._study import RECIPE

__all__ = ["RECIPE"]
