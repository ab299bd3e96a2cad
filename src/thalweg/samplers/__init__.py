"""Samplers: each file one algorithm of the shape `State, Info, init, step`; `run` moves chunks of replicas."""

from thalweg.samplers.engine import WIDTH, Engine, threads, width
from thalweg.samplers.hmc import JITTER
from thalweg.samplers.leapfrog import acceptance, kinetic, leapfrog
from thalweg.samplers.run import SEEN, Block, Chunk, State, advance, chunks, least_memory, memory, move, place, start
from thalweg.samplers.settings import BLOCK, Choices, Settings, known
from thalweg.samplers.tempering import Tempered, temper

__all__ = [
    "BLOCK",
    "JITTER",
    "SEEN",
    "WIDTH",
    "Block",
    "Choices",
    "Chunk",
    "Engine",
    "Settings",
    "State",
    "Tempered",
    "acceptance",
    "advance",
    "chunks",
    "kinetic",
    "known",
    "leapfrog",
    "least_memory",
    "memory",
    "move",
    "place",
    "start",
    "temper",
    "threads",
    "width",
]
