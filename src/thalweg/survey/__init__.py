"""Surveys: shards, workers, resumption; checkpoints go in, a store comes out."""

from thalweg.survey.survey import Survey, open_survey, survey

__all__ = ["Survey", "open_survey", "survey"]
