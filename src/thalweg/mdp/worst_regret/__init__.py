"""The worst regret of a nearly optimal policy: dual, programme, proof."""

__all__ = []
