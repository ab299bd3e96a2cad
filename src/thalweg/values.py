"""The room of values of 0.1: choices and values are in `irl` today, rewards and their distances in `mdp`."""

from thalweg.old_names import old_name

__all__ = []
__getattr__ = old_name("values")
