"""Phases: where a run changes, and into what."""

from thalweg.phases.transitions import FEWEST, Transition, transitions

__all__ = ["FEWEST", "Transition", "transitions"]
