"""Pickles whose objects would be too many or too deep are refused from their bytes; others are followed."""

import io
import pickle
import zipfile

import pytest
import torch

import thalweg as tw
from thalweg.checkpoints import read
from thalweg.checkpoints._pickles import check_pickles
from thalweg.checkpoints._steps import named

WEIGHTS = {"w": torch.ones(2), "beside": [(1, (2, (3,))), {"a": 1.5}]}
DEEP = b"N" + b"\x85" * 200_000  # None in tuples: its hash ends the interpreter
BOMBS = {
    "a key of tuples": (b"\x80\x02}" + DEEP + b"Ns.", "tuples in tuples"),
    "pairs": (b"\x80\x02}N" + b"N\x86" * 200_000 + b"Ns.", "tuples in tuples"),
    "counted": (b"\x80\x02ccollections\nCounter\n]" + DEEP + b"a\x85R.", "tuples in tuples"),
    "from the memo": (b"\x80\x02}N" + b"\x85q\x00h\x00\x86" * 200 + b"Ns.", "tuples in tuples"),
    "lists": (b"\x80\x02]" + b"]" * 500_000 + b".", "by the million"),
}


def archive(path, content):
    """What torch.save writes, with another pickle inside."""
    made = io.BytesIO()
    torch.save(WEIGHTS, made)
    with zipfile.ZipFile(made) as held, zipfile.ZipFile(path, "w") as out:
        for name in held.namelist():
            out.writestr(name, content if content and name.endswith("data.pkl") else held.read(name))
    return path


@pytest.mark.parametrize("name", BOMBS)
def test_too_many_and_too_deep_are_refused_unread(tmp_path, name):
    content, words = BOMBS[name]
    (tmp_path / "raw.pt").write_bytes(content)
    for path in (tmp_path / "raw.pt", archive(tmp_path / "archive.pt", content)):
        with pytest.raises(tw.InputError, match=words):
            read(path)


def test_what_torch_writes_is_followed(tmp_path):
    assert torch.equal(read(archive(tmp_path / "a.pt", b""))[0]["w"], WEIGHTS["w"])
    torch.save(WEIGHTS, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert torch.equal(read(tmp_path / "old.pt")[0]["w"], WEIGHTS["w"])
    deep = ()
    for _ in range(90):
        deep = (deep,)
    check_pickles(tmp_path, io.BytesIO(pickle.dumps(deep, 2)))
    with pytest.raises(tw.InputError, match="tuples in tuples"):
        check_pickles(tmp_path, io.BytesIO(pickle.dumps(((((deep,),),),) * 2, 2).replace(b")", b"N" + b"\x85" * 20)))


def test_thousands_in_parts_are_no_steps_of_one_digit(tmp_path):
    for name in ("step_1,000", "step1_000", "1_000_000", "epoch 12 000"):
        with pytest.raises(tw.InputError, match="in parts"):
            named(tmp_path / f"{name}.pt")
    assert named(tmp_path / "step_5_100.pt")["step"].step == 5
    assert named(tmp_path / "iter_0001000.pt")["iter"].step == 1000
