"""Recipes: one study a file, each with `paper()` and `tiny()`; those from outside have the same shape."""

from thalweg.recipes import alice_and_bob, census, cliffs, corner, gym, modular_addition, superposition
from thalweg.recipes.recipe import UNHEALTHY_SHARE, Outcome, Recipe, Stages
from thalweg.registry import Registry

RECIPES: Registry[Recipe] = Registry(  # by the name that the command line takes
    "recipe",
    "thalweg.recipes",
    {
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
    },
    lambda thing: isinstance(thing, Recipe),
    "a Recipe of thalweg.recipes",
)


def find(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        InputError: no such recipe, with the nearest or all names; a plug-in that cannot be had.
    """
    return RECIPES[name]


__all__ = ["RECIPES", "UNHEALTHY_SHARE", "Outcome", "Recipe", "Stages", "find"]
