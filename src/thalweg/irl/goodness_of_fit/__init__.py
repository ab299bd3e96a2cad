"""Does a choice model fit? Held-out choices, counts and their order."""

__all__ = []
