"""How degenerate a point is: ranks, and the null directions behind them."""

__all__ = []
