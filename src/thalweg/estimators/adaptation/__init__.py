"""Adaptation: an estimate that finds its own sampler, step, localization, burn-in and length."""

__all__ = []
