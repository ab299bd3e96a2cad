"""Samplers: each file one algorithm of the shape `State, Info, init, step`; `run` moves chunks of replicas."""

from thalweg.samplers.engine import ROWS, WIDTH, Engine, threads, width
from thalweg.samplers.footprint import check_memory, memory, spare_memory
from thalweg.samplers.hmc import JITTER
from thalweg.samplers.run import SEEN, Block, Chunk, State, advance, chunks, move, place, start
from thalweg.samplers.settings import BLOCK, Choices, Settings, known
from thalweg.samplers.tempering import Tempered, temper

__all__ = [
    "BLOCK",
    "JITTER",
    "ROWS",
    "SEEN",
    "WIDTH",
    "Block",
    "Choices",
    "Chunk",
    "Engine",
    "Settings",
    "State",
    "Tempered",
    "advance",
    "check_memory",
    "chunks",
    "known",
    "memory",
    "move",
    "place",
    "spare_memory",
    "start",
    "temper",
    "threads",
    "width",
]
