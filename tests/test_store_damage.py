"""A store that was damaged on disk: read as it was written or refused in one line, and mended by the same call."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file
from torch import nn

import thalweg as tw
from thalweg.cli import main
from thalweg.store import VERDICTS, Store, store
from thalweg.store import _sealed as sealed
from thalweg.survey._work import Worker
from thalweg.types import Verdict

SETTINGS = {
    "sampler": "sgld",
    "draws": 60,
    "burn_in": 20,
    "chains": 4,
    "batch_size": 30,
    "step_size": 3e-3,
    "gamma": 1.0,
}
WEIGHTS = (None, 9.0, 8.0, 7.0, 6.0)  # at the minimum, and far from it; two shards


def line():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 1, generator=g)
    module = nn.Linear(1, 1, bias=False)
    return module, x, x + torch.randn(60, 1, generator=g)


def surveyed(run, out, **changes):
    module, x, y = line()
    return tw.survey(tw.landscape(module, (x, y), "mse"), run, out, workers=1, progress=False, **SETTINGS | changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of five checkpoints and its survey."""
    place = tmp_path_factory.mktemp("made")
    _, x, y = line()
    (place / "run").mkdir()
    for i, w in enumerate(WEIGHTS):
        best = torch.linalg.lstsq(x, y).solution
        save_file({"weight": best if w is None else torch.full((1, 1), w)}, place / "run" / f"step-{i}.safetensors")
    surveyed(place / "run", place / "whole.zarr")
    return place


@pytest.fixture
def copied(made, tmp_path):
    return shutil.copytree(made / "whole.zarr", tmp_path / "s.zarr")


def look(out):
    """All that a reader sees, and the traces of every shard."""
    found = tw.open_survey(out)
    told = found.to_dict() | {"out": None}
    traces = {step: found.traces(step) for step in (0, 4)}
    return told, {
        f"{s} {name}": trace[name].values.tobytes() for s, trace in traces.items() for name in trace.variables
    }


def files(out):
    return sorted(p for p in out.rglob("*") if p.is_file())


def flip(path, bit):
    content = bytearray(path.read_bytes())
    bit %= 8 * len(content)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def other(path, every):
    return every[(every.index(path) + 7) % len(every)]


def swap(path, second):
    mine, theirs = path.read_bytes(), second.read_bytes()
    path.write_bytes(theirs)
    second.write_bytes(mine)


def huge(path):
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # a hole; reading it would fill the memory


def put(path, make):
    path.unlink()
    make(path)


DAMAGES = {
    "gone": lambda path, i, every: path.unlink(),
    "cut": lambda path, i, every: path.write_bytes(path.read_bytes()[: (i * 37) % path.stat().st_size]),
    "flipped": lambda path, i, every: flip(path, 1009 * i + 3),
    "swapped": lambda path, i, every: swap(path, other(path, every)),
    "huge": lambda path, i, every: huge(path),
    "a device": lambda path, i, every: put(path, lambda p: p.symlink_to("/dev/zero")),
    "a pipe": lambda path, i, every: put(path, os.mkfifo),
    "a folder": lambda path, i, every: put(path, os.mkdir),
    "longer": lambda path, i, every: path.write_bytes(path.read_bytes() + b"\0"),
}


def judged(out, truth):
    """Whether a damaged store is refused; anything that is read is the truth."""
    try:
        found, told = look(out), ""
    except tw.InputError as error:
        found, told = None, str(error)
    if found is not None:
        assert repr(found) == repr(truth)
        return False
    assert "\n" not in told
    assert str(out) in told
    return True


def damaged(made, tmp_path, damages):
    """Each file with each of its damages, one at a time: how many are refused, of how many."""
    out = shutil.copytree(made / "whole.zarr", tmp_path / "s.zarr")
    truth, every, refused, tried = look(out), files(out), 0, 0
    for i, path in enumerate(every):
        for kind in damages(i):
            kept = {place: place.read_bytes() for place in (path, other(path, every))}
            DAMAGES[kind](path, i, every)
            refused, tried = refused + judged(out, truth), tried + 1
            for place, content in kept.items():
                shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
                place.write_bytes(content)
    assert not judged(out, truth)
    return refused, tried


def test_every_file_with_one_damage(made, tmp_path):
    kinds = list(DAMAGES)
    refused, tried = damaged(made, tmp_path, lambda i: kinds[i % len(kinds) :][:1])
    assert refused > 0.9 * tried > 60  # all but the two groups that hold only groups, which a reader needs not


@pytest.mark.long
def test_every_file_with_every_damage(made, tmp_path):
    refused, tried = damaged(made, tmp_path, lambda i: DAMAGES)
    assert refused > 0.9 * tried > 500


@pytest.mark.long
@pytest.mark.parametrize("pattern", ["tables/*/verdict/c/0", "tables/*/llc/c/0", "tables/*/zarr.json", "zarr.json"])
def test_every_bit(copied, pattern):
    truth = look(copied)
    (place,) = copied.glob(pattern)
    whole = place.read_bytes()
    for bit in range(0, 8 * len(whole), 1 + len(whole) // 200):
        flip(place, bit)
        judged(copied, truth)
        place.write_bytes(whole)


def edit(path, change):
    whole = json.loads(path.read_text())
    change(whole["attributes"])
    path.write_text(json.dumps(whole))


EDITS = {
    "a list": lambda a: a.update(thalweg=[1]),
    "nothing": lambda a: a.update(thalweg=None),
    "no mark": lambda a: a.pop("thalweg"),
    "another table": lambda a: a["thalweg"].update(table=5),
    "complete": lambda a: a["thalweg"].update(complete=False),
    "a further key": lambda a: a["thalweg"].update(further=1),
    "no digest": lambda a: a["thalweg"].pop("digest"),
    "a key beside": lambda a: a.update(reasons=[["fine"]] * 5),
}


@pytest.mark.parametrize("place", ["zarr.json", "tables/*/zarr.json", "shards/*/zarr.json"])
@pytest.mark.parametrize("change", [*EDITS, "deep", "empty", "not text"])
def test_edited_words_are_refused(copied, place, change):
    path = sorted(copied.glob(place))[0]
    if change in EDITS:
        edit(path, EDITS[change])
    else:
        path.write_bytes({"deep": b"[" * 100_000, "empty": b"", "not text": b"\xff\xfe"}[change])
    with pytest.raises(tw.InputError, match=r"zarr\.json is damaged .* run the same survey again"):
        look(copied)


def test_what_changes_nothing_is_read(copied, tmp_path):
    truth = look(copied)
    edit(copied / "zarr.json", lambda a: None)  # the spaces are others
    (chunk,) = copied.glob("tables/*/llc/c/0")
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    (chunk.parent / "1").write_text("beyond the array")
    assert not judged(copied, truth)


def test_it_is_the_digest_that_tells(copied):
    """The control: the same edit under a digest of its own is read."""
    (path,) = copied.glob("tables/*/zarr.json")
    attributes = json.loads(path.read_text())["attributes"]
    said = attributes.pop("thalweg")
    del said["digest"]
    path.write_bytes(sealed.sealed({**attributes, "reasons": [["fine"]] * 5}, said))
    assert look(copied)[0]["reasons"] == [["fine"]] * 5


def test_the_command_says_it_in_one_line(copied, monkeypatch, capsys):
    (lost,) = copied.glob("tables/*/verdict/c/0")
    lost.unlink()
    monkeypatch.setattr(sys, "argv", ["thalweg", "atlas", str(copied)])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == 2
    assert told.out == ""
    assert told.err.startswith(f"thalweg: {lost} is damaged (missing): run the same survey again")
    assert told.err.count("\n") == 1


def shard_of(out, step):
    return out / "shards" / tw.open_survey(out).table.attrs["shards"][step]


def wreck(out, what):
    """Damage a store; the number of shards that are lost by it."""
    one, (table,) = shard_of(out, 4), out.glob("tables/*/zarr.json")
    if what == "nothing":
        return 0
    if what == "root":
        (out / "zarr.json").unlink()
        return 0
    if what == "root and table":
        (out / "zarr.json").write_text("{}")
        table.write_text("{}")
        return 0
    if what == "frame":
        flip(out / "zarr.json", 2000)
        (out / "shards" / "zarr.json").unlink()
        shutil.rmtree(out / "tables")
        (out / "tables").write_text("no folder")
        return 0
    if what == "shards swapped":
        other = shard_of(out, 0)
        one.rename(out / "aside")
        other.rename(one)
        (out / "aside").rename(other)
        return 2
    if what == "shard a file":
        shutil.rmtree(one)
        one.write_text("")
    if what == "chunk":
        flip(one / "excess" / "c" / "0" / "0" / "0", 99)
    if what == "chunk and table":
        (one / "loss" / "c" / "0" / "0" / "0").unlink()
        flip(table.parent / "llc" / "c" / "0", 20)
    return 1


WRECKS = ["nothing", "root", "root and table", "frame", "chunk", "chunk and table", "shard a file", "shards swapped"]


@pytest.mark.parametrize("what", WRECKS)
def test_the_same_call_computes_what_is_damaged_and_nothing_else(made, copied, what, monkeypatch):
    truth, moved, move = look(copied), [], Worker.move

    def counted(self, chunk, state):
        moved.append(chunk)
        return move(self, chunk, state)

    monkeypatch.setattr(Worker, "move", counted)
    healthy = shard_of(copied, 0) / "zarr.json"
    when = healthy.stat().st_mtime_ns
    lost = wreck(copied, what)
    assert judged(copied, truth) == (what != "nothing")
    assert surveyed(made / "run", copied).complete
    assert len(moved) == lost  # each shard is one chunk of one block
    assert (healthy.stat().st_mtime_ns == when) == (lost < 2)
    assert repr(look(copied)) == repr(truth)
    assert not judged(copied, truth)
    assert sorted(p.relative_to(copied) for p in files(copied)) == sorted(
        p.relative_to(made / "whole.zarr") for p in files(made / "whole.zarr")
    )


def test_seconds_stay_counted_when_the_root_is_lost(made, tmp_path):
    module, x, y = line()
    words = {"gamma": 50.0, "seconds": 0.05, "chains": 8, "workers": 1, "progress": False}
    first = tw.survey(tw.landscape(module, (x, y), "mse"), made / "run", tmp_path / "s.zarr", **words)
    (tmp_path / "s.zarr" / "zarr.json").unlink()
    again = tw.survey(tw.landscape(module, (x, y), "mse"), made / "run", tmp_path / "s.zarr", **words)
    assert again.attributes == first.attributes


def test_a_store_of_the_first_format_is_refused_with_what_to_do(made, copied):
    edit(copied / "zarr.json", lambda a: a.update(thalweg={"schema": 1, "complete": True, "table": "x"}))
    sentence = (
        "was written in format 1, without checksums: remove it, or give another folder, and run the survey again"
    )
    for call in (lambda: tw.open_survey(copied), lambda: surveyed(made / "run", copied)):
        with pytest.raises(tw.InputError, match=sentence):
            call()


def test_other_folders_are_not_taken_for_damaged_surveys(made, tmp_path):
    for name in ("tables/chapter.tex", "zarr.json", "shards/a/zarr.json"):
        out = tmp_path / name.replace("/", "-")
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
        with pytest.raises(tw.InputError, match="is no survey"):
            tw.open_survey(out)
        with pytest.raises(tw.InputError, match="something else"):
            surveyed(made / "run", out)
        assert files(out) == [out / name]


def test_other_readers_see_no_answer_where_a_chunk_is_lost(copied):
    (table,) = (p.parent for p in copied.glob("tables/*/zarr.json"))
    for name in ("verdict", "step", "llc", "ess"):
        (table / name / "c" / "0").unlink()
    flip(table / "rhat" / "c" / "0", 80)
    read = xr.open_zarr(table, consolidated=False)
    assert set(read["verdict"].values) == {0}
    assert read["verdict"].attrs["flag_values"] == list(range(1, 9))
    assert VERDICTS.index("healthy") == 7  # as ever: verdicts that are younger come behind it
    assert VERDICTS[0] not in set(Verdict)
    assert (read["step"].values < 0).all()
    assert np.isnan(read["llc"].values).all()
    assert np.isnan(read["ess"].values).all()
    with pytest.raises(ValueError, match="checksum"):
        read["rhat"].load()
    assert np.isfinite(read["train_loss"].values).all()  # the others are read


def test_a_reader_beside_a_writer_sees_one_whole_table(copied, monkeypatch):
    held = Store(copied)
    attributes, table = held.read()
    other = table.isel(checkpoint=[0, 1]).assign_attrs({k: v[:2] for k, v in table.attrs.items()})
    unpack, calls = store.unpack, []

    def late(place):
        calls.append(place)
        if len(calls) == 1:  # the root is read, its table is not
            monkeypatch.setattr(store, "unpack", unpack)
            with held.writing():
                held.write_table(other, {**attributes, "complete": False})
            monkeypatch.setattr(store, "unpack", late)
        return unpack(place)

    monkeypatch.setattr(store, "unpack", late)
    found, read = held.read()
    assert len(calls) == 2
    assert calls[0] != calls[1]
    assert not calls[0].exists()
    assert (found["complete"], read.sizes["checkpoint"]) == (False, 2)


def test_a_state_is_taken_up_only_as_it_was_saved(tmp_path):
    held, key = Store(tmp_path / "s.zarr"), "0" * 24
    kept = {"params": torch.randn(2, 3), "seen": torch.zeros(2, 4, dtype=torch.float64)}
    with held.writing():
        held.save_state(key, 0, kept, 128)
        place = tmp_path / "s.zarr" / ".partial" / f"{key}-0.safetensors"
        tensors, step = held.load_state(key, 0)
        assert step == 128
        assert all(torch.equal(tensors[name], kept[name]) for name in kept)
        shutil.copy(place, place.with_name(f"{key}-1.safetensors"))
        assert held.load_state(key, 1) is None  # another chunk's
        whole = place.read_bytes()
        for bit in range(0, 8 * len(whole), 7):
            flip(place, bit)
            found = held.load_state(key, 0)
            assert found is None or (found[1] == 128 and all(torch.equal(found[0][n], kept[n]) for n in kept))
            place.write_bytes(whole)
        assert held.load_state(key, 0) is not None
        save_file(kept, place, {"step": "128"})  # of a version without digests
        assert held.load_state(key, 0) is None
