"""Files and folders that are written whole or not at all, the pool of workers, memory, finite numbers for JSON."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest

import thalweg as tw
from thalweg.runtime import Workers, all_finite, atomic_write, finite, memory_left, outcome, pool

OLD, NEW = "old " * 1000, "new " * 1000
FILE = """
with {opened} as aside, aside.open("w") as file:
    file.write({half!r})
    file.flush()
    told()
"""
FOLDER = """
with {opened} as aside:
    aside.mkdir()
    (aside / "content").write_text({half!r})
    told()
"""
KILLED = """
import time
from contextlib import nullcontext
from pathlib import Path
from thalweg.runtime import atomic_write

def told():
    print("half", flush=True)
    time.sleep(60)

place = Path({place!r})
"""


def write(place, text, kind):
    """A file, or a folder with one."""
    with atomic_write(place, over=kind == "folder") as aside:
        if kind == "folder":
            aside.mkdir()
        (aside / "content" if kind == "folder" else aside).write_text(text)


def read(place, kind):
    """What it holds."""
    return (place / "content" if kind == "folder" else place).read_text()


def alone(place, kind):
    """What it holds, where nothing else is beside it."""
    assert os.listdir(place.parent) == [place.name]
    return read(place, kind)


def kill_half_way(place, kind, opened):
    """A process that has written half, and is killed -9 there."""
    script = KILLED.format(place=str(place))
    script += (FOLDER if kind == "folder" else FILE).format(opened=opened, half=NEW[: len(NEW) // 2])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "half\n"
        child.kill()
    assert child.returncode == -9


@pytest.fixture(params=["file", "folder"])
def kind(request):
    """What is written."""
    return request.param


def test_a_block_that_fails_leaves_the_old_and_nothing_beside(tmp_path, kind):
    place = tmp_path / "place"
    write(place, OLD, kind)

    def stopped():
        with atomic_write(place, over=kind == "folder") as aside:
            write(aside, NEW[:10], kind)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert alone(place, kind) == OLD
    write(place, NEW, kind)
    assert alone(place, kind) == NEW


def test_a_name_that_is_not_given_leaves_the_old_and_nothing_beside(tmp_path, kind, monkeypatch):
    place, rename = tmp_path / "place", os.replace
    write(place, OLD, kind)

    def full(source, target):
        if str(source).endswith(".new"):
            raise OSError(28, "no space left")
        rename(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        write(place, NEW, kind)
    assert alone(place, kind) == OLD


def test_a_writer_that_is_killed_leaves_the_old_and_the_next_one_goes_on(tmp_path, kind):
    place = tmp_path / "place"
    write(place, OLD, kind)
    kill_half_way(place, kind, f"atomic_write(place, over={kind == 'folder'})")
    assert read(place, kind) == OLD
    write(place, NEW, kind)
    assert alone(place, kind) == NEW


def test_the_test_can_fail(tmp_path):  # negative control: a file that is written where it stands
    place = tmp_path / "place"
    place.write_text(OLD)
    kill_half_way(place, "file", "nullcontext(place)")
    assert place.read_text() == NEW[: len(NEW) // 2]


def test_a_folder_in_the_way_goes_only_where_it_is_the_callers_own(tmp_path):
    place, inside = tmp_path / "place", tmp_path / "place" / "other"
    inside.mkdir(parents=True)
    with pytest.raises(OSError), atomic_write(place) as aside:  # noqa: PT011  (its words are the system's)
        aside.write_text(NEW)
    assert os.listdir(tmp_path) == ["place"]
    assert inside.is_dir()
    with atomic_write(place, over=True) as aside:
        aside.write_text(NEW)
    assert place.read_text() == NEW
    place.unlink()
    (tmp_path / "place.new" / "other").mkdir(parents=True)
    with pytest.raises(OSError), atomic_write(place) as aside:  # noqa: PT011
        aside.write_text(NEW)
    assert os.listdir(tmp_path) == ["place.new"]
    assert (tmp_path / "place.new" / "other").is_dir()


def test_json_gets_the_number_itself_or_nothing():
    assert [finite(x) for x in (None, math.nan, math.inf, -math.inf)] == [None] * 4
    assert json.dumps([finite(3), finite(0.1)]) == "[3, 0.1]"
    column = np.array([0.1, np.nan, -np.inf, 3], np.float32)
    assert all_finite(column) == [float(np.float32(0.1)), None, None, 3.0]
    assert json.loads(json.dumps(all_finite(column), allow_nan=False)) == all_finite(column)


def scaled(factor, x):
    return factor * x


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_pool_gives_every_task_what_its_setup_made_wherever_it_runs(count):
    with pool(count, abs, -3) as hands:
        assert isinstance(hands, Workers) == (count == 2)
        assert outcome(hands.submit(scaled, 5)) == 15
        assert list(hands.map(scaled, range(4))) == [0, 3, 6, 9]
        with pytest.raises(TypeError if count < 2 else tw.InputError, match="unsupported"):
            list(hands.map(scaled, [1, None]))


def test_here_a_task_waits_until_it_is_asked_for():
    done = []
    first = next(pool(1).map(done.append, [1, 2]))
    assert (first, done) == (None, [1])


def test_memory_is_what_is_left_of_a_budget():
    held = psutil.Process().memory_info().rss
    left = memory_left(1 << 20, held + (1 << 30), what="a chunk", remedy="give more")
    assert abs(left - (1 << 30)) < 1 << 28
    with pytest.raises(tw.InputError, match=r"^memory of 100 MiB, .* a chunk needs about 7 MiB: give more$"):
        memory_left(7 << 20, 100 << 20, what="a chunk", remedy="give more")
