"""Surveys: shards, workers, resumption; checkpoints go in, a store comes out."""

from thalweg.store import LOGGED, Survey, open_survey
from thalweg.survey.survey import survey

__all__ = ["LOGGED", "Survey", "open_survey", "survey"]
