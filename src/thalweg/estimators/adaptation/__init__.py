"""Calibration: an estimate that finds its own sampler, step, tether, burn-in and length."""

__all__ = []
