"""Does a choice model fit? Held-out choices, counts and their order."""

from thalweg.irl.goodness_of_fit.held_out import Calibration, Statistic, calibrate, dimensions_tested

__all__ = [
    "Calibration",
    "Statistic",
    "calibrate",
    "dimensions_tested",
]
