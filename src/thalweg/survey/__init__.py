"""Surveys: shards, workers, resumption; checkpoints go in, a store comes out."""

from thalweg.survey.survey import survey

__all__ = [
    "survey",
]
