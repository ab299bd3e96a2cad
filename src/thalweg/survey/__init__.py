"""Surveys: shards, workers, resumption; checkpoints go in, a store comes out."""

from thalweg.survey.survey import Survey, open_survey, survey
from thalweg.survey.work import LOGGED

__all__ = ["LOGGED", "Survey", "open_survey", "survey"]
