"""Surveys: shards, workers, resumption; checkpoints go in, a store comes out."""

from thalweg.survey.pool import check_memory
from thalweg.survey.survey import Survey, open_survey, survey
from thalweg.survey.work import LOGGED

__all__ = [
    "LOGGED",
    "Survey",
    "check_memory",
    "open_survey",
    "survey",
]
