"""Surveys: shards, workers, resumption; checkpoints go in, a store comes out."""

from thalweg.store import Survey, open_survey
from thalweg.survey.survey import survey

__all__ = ["Survey", "open_survey", "survey"]
