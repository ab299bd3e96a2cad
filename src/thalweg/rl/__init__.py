"""Reinforcement learning: decision processes, environments, policies; regret exact and sampled; surfaces."""
