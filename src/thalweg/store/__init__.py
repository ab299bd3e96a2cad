"""The store: where results live, what identifies them, and how they are read again."""

from thalweg.store.fingerprint import digest, of_addition, of_checkpoint, of_data, of_landscape, of_tensors
from thalweg.store.schema import (
    MOVED,
    RESERVED,
    VERDICTS,
    CheckpointRow,
    logged_in,
    scalars,
    shard_dataset,
    table_dataset,
)
from thalweg.store.store import Store, versions
from thalweg.store.survey import Survey, open_survey

__all__ = [
    "MOVED",
    "RESERVED",
    "VERDICTS",
    "CheckpointRow",
    "Store",
    "Survey",
    "digest",
    "logged_in",
    "of_addition",
    "of_checkpoint",
    "of_data",
    "of_landscape",
    "of_tensors",
    "open_survey",
    "scalars",
    "shard_dataset",
    "table_dataset",
    "versions",
]
