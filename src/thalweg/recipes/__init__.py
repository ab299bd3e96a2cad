"""Recipes: one study a file, each with `paper()` and `tiny()`."""

from thalweg.errors import InputError
from thalweg.recipes import alice_and_bob, census, cliffs, corner, gym, modular_addition, superposition
from thalweg.recipes.recipe import UNHEALTHY_SHARE, Recipe

RECIPES: dict[str, Recipe] = {  # by the name that the command line takes
    recipe.name: recipe
    for recipe in (
        modular_addition.RECIPE,
        superposition.RECIPE,
        census.RECIPE,
        corner.RECIPE,
        cliffs.RECIPE,
        gym.RECIPE,
        alice_and_bob.RECIPE,
    )
}


def find(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        InputError: lists the recipes that there are.
    """
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}: there are {', '.join(RECIPES)}")
    return RECIPES[name]


__all__ = ["RECIPES", "UNHEALTHY_SHARE", "Recipe", "find"]
