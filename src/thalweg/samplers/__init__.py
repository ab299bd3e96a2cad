"""Samplers: each file one algorithm of the shape `State, Info, init, step`; `run` moves chunks of replicas."""

from thalweg.samplers._target import Draw, Gradient, Info
from thalweg.samplers.algorithm import BLOCK, Algorithm, Dial
from thalweg.samplers.engine import ROWS, WIDTH, Engine, width
from thalweg.samplers.footprint import check_memory, memory, spare_memory
from thalweg.samplers.hmc import JITTER
from thalweg.samplers.leapfrog import acceptance, kinetic, leapfrog
from thalweg.samplers.run import SEEN, Block, Chunk, State, advance, chunks, move, place, start
from thalweg.samplers.settings import Choices, Settings, known
from thalweg.samplers.smc import Cloud, Move, Target, pilot, travel
from thalweg.samplers.table import ALGORITHMS
from thalweg.samplers.tempering import Tempered, temper
from thalweg.samplers.wide import bracket, wide_of

__all__ = [
    "ALGORITHMS",
    "BLOCK",
    "JITTER",
    "ROWS",
    "SEEN",
    "WIDTH",
    "Algorithm",
    "Block",
    "Choices",
    "Chunk",
    "Cloud",
    "Dial",
    "Draw",
    "Engine",
    "Gradient",
    "Info",
    "Move",
    "Settings",
    "State",
    "Target",
    "Tempered",
    "acceptance",
    "advance",
    "bracket",
    "check_memory",
    "chunks",
    "kinetic",
    "known",
    "leapfrog",
    "memory",
    "move",
    "pilot",
    "place",
    "spare_memory",
    "start",
    "temper",
    "travel",
    "wide_of",
    "width",
]
