"""Gymnasium's environments as ours, and its small ones as tables."""

__all__ = []
