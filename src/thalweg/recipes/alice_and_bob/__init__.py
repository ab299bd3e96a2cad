"""Alice, Bob, and what is certified of them."""

from thalweg.recipes.alice_and_bob.study import RECIPE

__all__ = [
    "RECIPE",
]
