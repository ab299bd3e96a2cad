"""Agents: what files say of a learner, its steering and its environment."""

from thalweg.agents.files import Agent, Seen
from thalweg.agents.roles import check_roles
from thalweg.agents.schema import AgentFile, Answers, Choices, StatedModelError, Values, agent_file
from thalweg.agents.worlds import WORLDS, World, WorldKind

__all__ = [
    "WORLDS",
    "Agent",
    "AgentFile",
    "Answers",
    "Choices",
    "Seen",
    "StatedModelError",
    "Values",
    "World",
    "WorldKind",
    "agent_file",
    "check_roles",
]
