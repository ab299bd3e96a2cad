"""Agents: what files say of a learner, its steering and its environment."""

from thalweg.agents.files import Agent, AgentFile, Answers, Choices, Departs, Seen, Values, World

__all__ = ["Agent", "AgentFile", "Answers", "Choices", "Departs", "Seen", "Values", "World"]
