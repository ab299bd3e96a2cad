"""Samplers: each file one algorithm of the shape `State, Info, init, step`; `run` moves chunks of replicas."""

from thalweg.samplers.engine import Engine, threads, width
from thalweg.samplers.run import BLOCK, Block, Chunk, advance, chunks, memory, start
from thalweg.samplers.settings import Settings
from thalweg.samplers.sgld import State

__all__ = [
    "BLOCK",
    "Block",
    "Chunk",
    "Engine",
    "Settings",
    "State",
    "advance",
    "chunks",
    "memory",
    "start",
    "threads",
    "width",
]
