"""Samplers: each file one algorithm of the shape `State, Info, init, step`; `run` moves chunks of replicas."""

from thalweg.samplers.algorithm import BLOCK, Algorithm, Dial
from thalweg.samplers.engine import WIDTH, Engine, threads, width
from thalweg.samplers.hmc import JITTER
from thalweg.samplers.run import SEEN, Block, Chunk, State, advance, chunks, least_memory, memory, move, place, start
from thalweg.samplers.settings import Choices, Settings, known
from thalweg.samplers.table import ALGORITHMS
from thalweg.samplers.target import Draw, Gradient, Info
from thalweg.samplers.tempering import Tempered, temper

__all__ = [
    "ALGORITHMS",
    "BLOCK",
    "JITTER",
    "SEEN",
    "WIDTH",
    "Algorithm",
    "Block",
    "Choices",
    "Chunk",
    "Dial",
    "Draw",
    "Engine",
    "Gradient",
    "Info",
    "Settings",
    "State",
    "Tempered",
    "advance",
    "chunks",
    "known",
    "least_memory",
    "memory",
    "move",
    "place",
    "start",
    "temper",
    "threads",
    "width",
]
