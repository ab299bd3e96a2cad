"""Atlas: maps for browsers and papers, drawn from the store."""

from thalweg.atlas.atlas import atlas, plot

__all__ = ["atlas", "plot"]
