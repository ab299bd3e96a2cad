"""Surveys whose processes are killed -9: nothing is lost or done twice, the bits are the same, no process stays."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import thalweg as tw
from conftest import write_run
from test_survey import arrays, net_landscape, same
from thalweg.store import Store
from thalweg.survey._plan import SHARD

KINDS = {
    "set": {"chains": 4, "burn_in": 60, "draws": 340, "batch_size": 32, "gamma": 5.0, "step_size": 1e-3},
    "calibrated": {"gamma": 50.0, "budget": 200, "chains": 16},
}
COUNT, PATIENCE, TIMES = {"set": 20, "calibrated": 4}, 5.0, 30
MARK = "THALWEG_KILL_TEST"  # in the environment of all processes of one run
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import thalweg as tw
from test_killed import KINDS, net_landscape
tw.survey(net_landscape(), tw.checkpoints({run!r}), {out!r}, workers=2, **KINDS[{kind!r}])
"""


@pytest.fixture(scope="module", params=KINDS)
def undisturbed(request, tmp_path_factory):
    """A kind of survey, its run, what comes of it, and how long its workers work."""
    folder = tmp_path_factory.mktemp(request.param)
    run = write_run(folder / "run", count=COUNT[request.param])
    began = time.monotonic()
    whole = tw.survey(net_landscape(), tw.checkpoints(run), folder / "whole.zarr", workers=1, **KINDS[request.param])
    return request.param, run, arrays(whole), time.monotonic() - began


def marked(mark):
    """Processes of a run that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def started(kind, run, out):
    """A survey by two workers in a process of its own."""
    mark = uuid.uuid4().hex
    script = SCRIPT.format(tests=str(Path(__file__).parent), run=str(run), out=str(out), kind=kind)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, MARK: mark},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    return process, mark


def workers_of(process, deadline):
    """Its workers, once they compute; None where it has ended before."""
    while time.monotonic() < deadline and process.poll() is None:
        found = [p for p in psutil.Process(process.pid).children() if is_worker(p)]
        if len(found) == 2 and all(busy(p) for p in found):
            return found
        time.sleep(0.2)
    assert process.poll() is not None
    return None


def is_worker(process):
    try:
        return any("LokyProcess" in word for word in process.cmdline())
    except psutil.Error:
        return False


def busy(process):
    """Whether a worker has imported torch."""
    try:
        return any("libtorch" in part.path for part in process.memory_maps())
    except psutil.Error:
        return False


def finished(out):
    """Shards that stand as they were written, and when."""
    store = Store(out)
    keys = [place.name for place in (out / "shards").glob("*") if place.is_dir()]
    return {k: (out / "shards" / k / "zarr.json").stat().st_mtime_ns for k in keys if store.find_shard(k)}


def resume(kind, run, out, expected, before):
    """The same call again: it does what is missing and nothing else, and ends with the bits of an undisturbed one."""
    again = tw.survey(net_landscape(), tw.checkpoints(run), out, workers=1, **KINDS[kind])
    assert again.complete
    assert same(arrays(again), expected)
    after = finished(out)
    assert {key: after[key] for key in before} == before
    assert not (out / ".partial").exists()
    return len(after) - len(before)


def gone(mark):
    """Whether no process of a run is left after five seconds."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if not marked(mark):
            return True
        time.sleep(0.1)
    return not marked(mark)


def shards_of(out):
    return sum(place.is_dir() for place in (out / "shards").glob("*"))


def kill_whole(kind, run, out, expected, moment):
    """Kill the main process at a moment of its workers' lives; how many shards were left to be done."""
    shards, wait = moment
    process, mark = started(kind, run, out)
    assert workers_of(process, time.monotonic() + 120) or process.returncode == 0
    while shards_of(out) < shards and process.poll() is None:
        time.sleep(0.02)
    time.sleep(wait)
    process.kill()
    process.communicate()
    assert gone(mark)
    return resume(kind, run, out, expected, finished(out))


def kill_worker(kind, run, out, expected, moment):
    """Kill a worker of a survey of this process at such a moment."""
    shards, wait = moment

    def kill():
        workers = []
        while not over.is_set() and not (workers and all(map(busy, workers))):
            workers = [p for p in psutil.Process().children() if is_worker(p)]
            time.sleep(0.2)
        while not over.is_set() and shards_of(out) < shards:
            time.sleep(0.02)
        over.wait(wait)
        with suppress(psutil.NoSuchProcess):
            workers[0].kill()

    over, told = threading.Event(), ""
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        tw.survey(net_landscape(), tw.checkpoints(run), out, workers=2, progress=False, **KINDS[kind])
    except tw.InputError as error:
        told = str(error)
    finally:
        over.set()
        killer.join()
    assert not told or "a worker process was killed" in told
    assert not [p for p in psutil.Process().children() if is_worker(p)]
    return resume(kind, run, out, expected, finished(out))


KILLS = {"worker": kill_worker, "whole": kill_whole}


def kill_often(undisturbed, tmp_path, victim, times, name):
    """Counts of shards that were left to be done, one for each kill at a random moment."""
    kind, run, expected, seconds = undisturbed
    shards = COUNT[kind] // (SHARD if kind == "set" else 1)
    moments = random.Random(f"{kind} {victim} {name}")
    left = []
    for i in range(times):
        moment = moments.randrange(shards - 1), moments.uniform(0, seconds / shards)
        left.append(KILLS[victim](kind, run, tmp_path / f"{i}.zarr", expected, moment))
    return left


@pytest.mark.parametrize("victim", KILLS)
def test_killed_once(undisturbed, tmp_path, victim):
    assert kill_often(undisturbed, tmp_path, victim, 1, "once")


@pytest.mark.long
@pytest.mark.parametrize("victim", KILLS)
def test_killed_thirty_times(undisturbed, tmp_path, victim, record_property):
    left = kill_often(undisturbed, tmp_path, victim, TIMES, "often")
    record_property("shards left", left)
    print(undisturbed[0], victim, f"{sum(n > 0 for n in left)} of {TIMES} cut a survey; shards left", left)
    assert sum(n > 0 for n in left) > TIMES / 2  # they came in time


def test_workers_that_do_not_watch_stay(tmp_path):
    """Negative control: what `gone` sees of a process that outlives its parent."""
    mark = uuid.uuid4().hex
    sleeper = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    subprocess.run([sys.executable, "-c", sleeper], env={**os.environ, MARK: mark}, check=True)
    left = marked(mark)
    assert len(left) == 1
    os.kill(left[0].pid, signal.SIGKILL)
    assert gone(mark)
