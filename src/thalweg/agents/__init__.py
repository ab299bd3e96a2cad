"""Agents: what files say of a learner, its steering and its environment."""

from thalweg.agents.files import Agent, AgentFile, Choices, Values, World

__all__ = ["Agent", "AgentFile", "Choices", "Values", "World"]
