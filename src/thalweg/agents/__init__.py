"""Agents: what files say of a learner, its steering and its environment."""

from thalweg.agents.files import Agent, Seen
from thalweg.agents.roles import check_roles
from thalweg.agents.schema import AgentFile, Answers, Choices, Departs, Values, World, agent_file

__all__ = [
    "Agent",
    "AgentFile",
    "Answers",
    "Choices",
    "Departs",
    "Seen",
    "Values",
    "World",
    "agent_file",
    "check_roles",
]
