"""Checkpoints: find, order and read everyone's files, running none of their code."""

from thalweg.checkpoints.load import read
from thalweg.checkpoints.series import Checkpoint, Series, checkpoints

__all__ = ["Checkpoint", "Series", "checkpoints", "read"]
