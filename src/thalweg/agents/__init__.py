"""Agents: what files say of a learner, its steering and its environment."""

from thalweg.agents._roles import check_roles
from thalweg.agents._schema import agent_file
from thalweg.agents.files import Agent, Seen
from thalweg.agents.worlds import WORLDS, World, WorldKind

__all__ = [
    "WORLDS",
    "Agent",
    "Seen",
    "World",
    "WorldKind",
    "agent_file",
    "check_roles",
]
