"""Sets of values that hold at every n, covered by cells, and the largest of a quantity on them."""

__all__ = []
