"""The former place of `thalweg.surfaces`, until 0.3.0."""

import sys
import warnings
from importlib import import_module

warnings.warn("thalweg.rl.surfaces is thalweg.surfaces now", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = import_module("thalweg.surfaces")
