"""Checkpoints: find, order and read everyone's files, running none of their code."""

from thalweg.checkpoints.load import LOADERS, Loader, read
from thalweg.checkpoints.save import place, save
from thalweg.checkpoints.series import Checkpoint, Series, checkpoints

__all__ = [
    "LOADERS",
    "Checkpoint",
    "Loader",
    "Series",
    "checkpoints",
    "place",
    "read",
    "save",
]
