"""How many workers a survey has. One that fits into one chunk, and a machine of one core, stay in this process."""

from thalweg.errors import InputError
from thalweg.runtime import Here, Workers, cores, pool
from thalweg.samplers import Settings, memory, spare_memory, width
from thalweg.survey._work import Job, Worker
from thalweg.tree import leaves

PROCESS = 350 << 20  # bytes of a process that has imported torch and nothing else
# Freed blocks stay with the process: giving them back costs a page fault for every page, every step.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
SHORT = 8000  # steps of chunks that are over before workers have started


def workers_of(job: Job, count: int) -> Workers | Here:
    """So many processes, each with a `Worker`; one or none means this process."""
    return pool(count, Worker, job, threads=job.settings.threads, environment=KEEP_MEMORY)


def workers_for(job: Job, chunks: int, asked: int | None, budget: int | None) -> int:
    """How many worker processes: as many as cores, chunks and memory allow.

    Args:
        job: what they would do.
        chunks: how many there are to move.
        asked: by the user, or None.
        budget: bytes for all processes together; default half of the free memory.

    Raises:
        InputError: not even one chunk fits into the budget.
    """
    if asked is not None and asked < 1:
        raise InputError(f"workers = {asked}: give at least 1, which stays in this process")
    each = _each(job)
    left = spare_memory(each, budget)
    short = isinstance(job.settings, Settings) and chunks * job.settings.steps < SHORT
    wanted = asked if asked is not None else 1 if short else max(1, cores() // job.settings.threads)
    fitting = left // (PROCESS + _shared(job) + each)
    count = min(wanted, chunks, max(1, fitting))
    return count if count > 1 else 1


def _shared(job: Job) -> int:
    """Bytes of what every worker has a copy of: module, data, test data."""
    scape = job.landscape
    held = [*scape.params.values(), *scape.frozen.values()]
    for data in (scape.data, job.test):
        held += [] if data is None else [*leaves(data.inputs), data.targets]
    return sum(tensor.nbytes for tensor in held)


def _each(job: Job) -> int:
    """Bytes of what one worker moves at a time."""
    if isinstance(job.settings, Settings):
        return memory(job.landscape, job.settings, width(job.landscape))
    return memory(job.landscape, job.settings.largest, job.settings.chains or 1)
