"""Data of every kind that people give: the numbers that torch would stack, or one line that names the sample."""

import collections
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
)

import thalweg as tw
from thalweg.cli import main
from thalweg.landscape import materialise, measure, other_data
from thalweg.tree import leaves

N = 30
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(1))
Y = torch.arange(N) % 3


class Items(Dataset):
    """Samples as a function of their number."""

    def __init__(self, item, total: Any = 60):
        self.item, self.total = item, total

    def __len__(self):
        return self.total() if callable(self.total) else self.total

    def __getitem__(self, i):
        return self.item(i)


def right(i):
    return X[i % N], int(Y[i % N])


def fails(error):
    def call(*_):
        raise error

    return call


def but(odd, at=41):
    """Right samples, and one that is not."""
    return Items(lambda i: odd if i == at else right(i))


def ends(i):
    if i > 40:
        raise IndexError("end")
    return right(i)


def changed(tensor, at, value):
    found = tensor.clone()
    found[at] = value
    return found


class Picture:
    __array_interface__ = property(fails(AttributeError("none")))


class Frame:
    """What pandas gives: an array on request."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)

    def __len__(self):
        return len(self.values)

    def to_numpy(self):
        return self.values


def loader(**options):
    return DataLoader(TensorDataset(X, Y), **options)


def batch(samples):
    return torch.stack([x for x, _ in samples]), torch.tensor([int(y) for _, y in samples])


# what is given -> words of the one line that refuses it
SAMPLES = {
    "unequal inputs": (Items(lambda i: (torch.ones(1 + i % 3), 1)), ["sample 1 ", "(2,)", "(1,)", "pad"]),
    "unequal, one late": (but((torch.ones(9), 1)), ["sample 41 ", "(9,)", "(4,)", "pad"]),
    "unequal targets": (Items(lambda i: (X[0], torch.ones(1 + i))), ["target", "sample 1 ", "pad"]),
    "words as labels": (Items(lambda i: (X[0], "cat")), ["sample 0", "target", "'cat'", "map labels to numbers"]),
    "a word, late": (but((X[0], "cat")), ["sample 41", "'cat'", "map labels"]),
    "text as input": (Items(lambda i: ("a cat", 1)), ["sample 0", "'a cat'", "tokenise"]),
    "bytes": (Items(lambda i: (b"\x00\xff", 1)), ["sample 0", "text"]),
    "an object": (Items(lambda i: (object(), 1)), ["sample 0", "input", "object", "tensor"]),
    "a picture": (Items(lambda i: (Picture(), 1)), ["sample 0", "Picture", "tensor"]),
    "an object in a dict": (Items(lambda i: ({"a": X[0], "b": object()}, 1)), ["sample 0", "input['b']", "object"]),
    "none": (but(None), ["sample 41 ", "NoneType", "pairs"]),
    "no target": (but((X[0], None)), ["sample 41", "target is None", "leave"]),
    "targets of two": (Items(lambda i: (X[0], (1, 2))), ["sample 0", "target is a tuple", "one tensor"]),
    "raises": (Items(fails(FileNotFoundError("img_3.png"))), ["sample 0 ", "FileNotFoundError: img_3.png", "Subset"]),
    "raises late": (
        Items(lambda i: right(i) if i != 41 else fails(KeyError("row"))()),
        ["sample 41 ", "KeyError", "Subset"],
    ),
    "leaves the program": (Items(fails(SystemExit(3))), ["sample 0 ", "SystemExit: 3"]),
    "several lines": (Items(fails(ValueError("one\ntwo\x1b[2J"))), ["sample 0 ", "ValueError: one"]),
    "length too long": (Items(ends), ["length says 60", "sample 41 ", "IndexError", "__len__"]),
    "length, and nothing there": (Items(fails(IndexError("end"))), ["sample 0 ", "IndexError"]),
    "length is negative": (Items(right, -1), ["length", "ValueError", "__len__"]),
    "length is no whole number": (Items(right, lambda: 3.5), ["length", "TypeError", "__len__"]),
    "length is not implemented": (Items(right, lambda: NotImplemented), ["length", "__len__"]),
    "length raises": (Items(right, fails(RuntimeError("no"))), ["length", "RuntimeError: no"]),
    "length leaves": (Items(right, fails(SystemExit(1))), ["length", "SystemExit"]),
    "length of 2**70": (Items(right, 2**70), ["length", "OverflowError"]),
    "length of 10**12": (Items(right, 10**12), ["4 GiB", "Subset"]),
    "no sample": (Items(right, 0), ["empty", "two"]),
    "one sample": (Items(right, 1), ["n = 1", "more samples"]),
    "whole, then not": (but((X[0], 1.5)), ["sample 41 ", "float64", "int64", "one type"]),
    "other floats": (but((X[0].double(), 1)), ["sample 41 ", "float64", "float32", "one type"]),
    "other keys": (
        Items(lambda i: ({"a": X[0], **({"b": X[0]} if i == 41 else {})}, 1)),
        ["sample 41 has input['b']", "sample 0 has none"],
    ),
    "random": (Items(lambda i: (torch.rand(4), 1)), ["sample 0", "random", "switch it off"]),
    "random, rarely": (
        Items(lambda i: (X[i % N] if i != 41 else torch.rand(4), 1)),
        ["sample 41", "random"],
    ),
    "random length": (
        Items(lambda i: (torch.rand(int(torch.randint(1, 10**9, ())) % 997), 1)),
        ["sample 0", "random"],
    ),
    "dicts of columns": (
        Items(lambda i: {"image": X[0], "label": 1}),
        ["sample 0", "'image', 'label'", "(s['image'], s['label'])"],
    ),
    "triples": (TensorDataset(X, X, Y), ["tuple of 3", "tuple of their own"]),
    "inputs alone": (TensorDataset(X), ["tuple of 1", "(input, target)"]),
    "beyond its end": (Subset(TensorDataset(X, Y), [0, 1, 99]), ["sample 2 ", "IndexError", "99"]),
}

KINDS = {
    "a generator": (((X[i], Y[i]) for i in range(N)), ["generator", "list"]),
    "a zip": (zip(X, Y, strict=True), ["zip", "list"]),
    "a set": ({1, 2}, ["set", "list"]),
    "a class": (Items, ["class Items", "instance"]),
    "text": ("cifar10", ["str", "(inputs, targets)"]),
    "one array": (X.numpy(), ["ndarray", "targets"]),
    "one tensor": (X, ["Tensor", "targets"]),
    "three tensors": ((X, X, Y), ["tuple of 3", "tuple of their own"]),
    "a dict": ({"x": X, "y": Y}, ["'x', 'y'", "(inputs, targets)"]),
    "a frame": (Frame(X.numpy()), ["Frame", "to_numpy"]),
    "two data sets": ((TensorDataset(X, Y), TensorDataset(X, Y)), ["TensorDataset", "alone"]),
    "no number": (None, ["NoneType", "not understood"]),
    "unequal length": ((X, Y[:-1]), ["30", "29", "one target for each"]),
    "numbers": ((torch.tensor(1.0), torch.tensor(2.0)), ["single number"]),
    "no inputs": (((), Y), ["unequal length"]),
    "no input": (({}, Y), ["no tensor"]),
    "words": ((X, ["cat", "dog"] * 15), ["targets, sample 0", "'cat'", "map labels"]),
    "an array of words": ((X, np.array(["cat", "dog"] * 15)), ["targets, sample 0", "'cat'", "map labels"]),
    "a frame of words": ((X, Frame(["cat", "dog"] * 15)), ["targets, sample 0", "'cat'"]),
    "an array of objects": ((changed(X, 0, 1).numpy().astype(object), Y), ["object", ".astype"]),
    "a gap": ((np.array([[1.0], [None]] * 15, dtype=object), Y), ["inputs, sample 1", "NoneType"]),
    "a masked array": ((np.ma.masked_greater(np.arange(N), 20), Y), ["sample 21", "masked"]),
    "times": ((np.array(["2020-01-01"] * N, dtype="M8[D]"), Y), ["datetime64", ".astype"]),
    "long doubles": ((X.numpy().astype(np.longdouble), Y), ["float128", ".astype"]),
    "ragged lists": (([[1.0] * 4] * 5 + [[1.0]] * 25, Y), ["inputs: sample 5 ", "(1,)", "(4,)", "pad"]),
    "ragged arrays": (([np.ones(4)] * 5 + [np.ones(2)] * 25, Y), ["inputs: sample 5 ", "(2,)", "pad"]),
    "a number too large": (([[2**70] * 4] * N, Y), ["sample 0", "verflow"]),
    "a gap in a list": ((X, [1, None] * 15), ["targets, sample 1", "NoneType"]),
    "a list of tensors": (([*X], Y), ["inputs", "torch.stack"]),
    "a list of labels": ((X, [*Y]), ["targets", "torch.stack"]),
    "an input that is none": (({"input": None}, Y), ["inputs['input']", "NoneType"]),
    "sparse": ((X.to_sparse(), Y), ["sparse_coo", ".to_dense()"]),
    "without numbers": ((X.to("meta"), Y), ["meta"]),
    "ready batches": (loader(batch_size=None), ["batch_size=None", "single samples"]),
    "a part of them": (loader(sampler=SequentialSampler(range(5))), ["SequentialSampler", "Subset"]),  # pyright: ignore[reportArgumentType]
    "a collate_fn of dicts": (loader(collate_fn=lambda s: {"x": 1, "y": 2}), ["collate_fn", "'x', 'y'"]),
    "a collate_fn that raises": (
        loader(collate_fn=fails(ValueError("no"))),
        ["collate_fn", "0 to 29", "ValueError: no"],
    ),
    "a collate_fn of words": (loader(collate_fn=lambda s: ("a", "b")), ["collate_fn", "str"]),
    "a collate_fn of numbers": (loader(collate_fn=lambda s: (X.sum(), Y.sum())), ["collate_fn", "single number"]),
    "a collate_fn that pads": (
        DataLoader(Items(right, 300), collate_fn=lambda s: (torch.ones(len(s), len(s)), batch(s)[1])),
        ["collate_fn", "sample 256", "(44,)", "(256,)", "pad"],
    ),
    "a collate_fn that draws": (loader(collate_fn=lambda s: (torch.rand(len(s), 4), batch(s)[1])), ["random"]),
    "label 3 of 3": ((X, changed(Y, 20, 3)), ["Target 3", "sample 20", "0 to 2"]),
    "label -1": ((X, changed(Y, 20, -1)), ["Target -1", "sample 20", "0 to 2"]),
    "labels ignored": ((X, changed(Y, 20, -100)), ["-100", "leave"]),
    "half labels": ((X, changed(Y.float(), 20, 0.5)), ["sample 20", "0.5", "no label"]),
    "labels that are no number": ((X, changed(Y.float(), 20, float("nan"))), ["sample 20", "nan"]),
    "labels in a column": ((X, Y[:, None]), ["(n, 1)", "(n, 3)", "targets.squeeze(-1)"]),
    "NaN": ((changed(X, (7, 1), float("nan")), Y), ["inputs of sample 7", "NaN", "leave"]),
    "infinity": ((changed(X, (7, 1), float("inf")), Y), ["inputs of sample 7", "infinity", "leave"]),
    "float64 inputs": ((X.double(), Y), ["float64", "float32", "inputs.float()", "module.double()"]),
    "float16 inputs": ((X.half(), Y), ["float16", "float32", "inputs.float()"]),
    "whole inputs": ((X.long(), Y), ["int64", "float32", "inputs.float()"]),
    "bytes as inputs": ((X.byte(), Y), ["uint8", "float32", "inputs.float()"]),
    "truths as inputs": ((X > 0, Y), ["bool", "float32", "inputs.float()"]),
    "complex inputs": ((X + 1j, Y), ["complex64", "float32", "view_as_real"]),
    "inputs by name": (({"input": X.double()}, Y), ["inputs['input']", "float64", "float32", ".float()"]),
    "float labels": ((X, Y.float()), ["float32", "int64", "targets.long()"]),
    "int32 labels": ((X, Y.int()), ["int32", "int64", "targets.long()"]),
    "truths as labels": ((X, Y > 1), ["bool", "int64", "targets.long()"]),
    "one-hot labels": ((X, F.one_hot(Y, 3)), ["int64", "float32", "targets.float()"]),
}


def refusal(data, loss="cross_entropy", module=None):
    """The one line that refuses data."""
    with pytest.raises(tw.InputError) as found:
        tw.landscape(module or nn.Linear(4, 3), data, loss)
    told = str(found.value)
    assert told.isprintable()
    return told


@pytest.mark.parametrize("name", [*SAMPLES, *KINDS])
def test_what_cannot_be_honoured_is_said_in_one_line(name):
    data, words = (SAMPLES | KINDS)[name]
    told = refusal(data)
    assert not [word for word in words if word not in told], told


# module, data, loss -> words
LOSSES = {
    "float64 module": (nn.Linear(4, 3).double(), (X, Y), "cross_entropy", ["float32", "float64", "inputs.double()"]),
    "floats as tokens": (nn.Embedding(3, 3), (Y.float(), Y), "cross_entropy", ["float32", "int64", "inputs.long()"]),
    "bytes as tokens": (nn.Embedding(3, 3), (Y.byte(), Y), "cross_entropy", ["uint8", "int64", "inputs.long()"]),
    "a column of outputs": (nn.Linear(4, 1), (X, X[:, 0]), "mse", ["(n, 1)", "(n,)", "targets.reshape(-1, 1)"]),
    "the same, equal targets": (nn.Linear(4, 1), (X, torch.ones(N)), "mse", ["(n, 1)", "(n,)", "broadcasting"]),
    "a column of targets": (nn.Linear(4, 3), (X, X[:, :1]), nn.L1Loss(), ["(n, 3)", "(n, 1)", "broadcasting"]),
    "one's own loss": (
        nn.Linear(4, 1),
        (X, (torch.arange(N) > 9).float()),
        lambda out, y: (out - y).square().mean(1) if out.ndim > 1 else out,
        ["(n, 1)", "(n,)", "broadcasting"],
    ),
    "whole numbers": (nn.Linear(4, 4), (X, X.long()), "mse", ["int64", "float32", "targets.float()"]),
    "truths": (nn.Linear(4, 3), (X, X[:, :3] > 0), "binary_cross_entropy_with_logits", ["bool", "targets.float()"]),
    "NaN": (nn.Linear(4, 4), (X, changed(X, (9, 2), float("nan"))), "mse", ["targets of sample 9", "NaN"]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_types_and_shapes_are_named_with_the_call_that_mends_them(name):
    module, data, loss, words = LOSSES[name]
    told = refusal(data, loss, module)
    assert not [word for word in words if word not in told], told


@pytest.mark.parametrize(
    "name", ["float64 inputs", "whole inputs", "truths as labels", "one-hot labels", "labels in a column"]
)
def test_the_call_mends_it(name):
    inputs, targets = KINDS[name][0]
    call = refusal((inputs, targets)).rsplit("give ", 1)[1].split(", or ")[0]
    mended = eval(call, {"inputs": inputs, "targets": targets})
    tw.landscape(
        nn.Linear(4, 3), (mended, targets) if call.startswith("inputs") else (inputs, mended), "cross_entropy"
    )


def test_a_target_that_no_sample_has_is_named_where_its_loss_is_computed():
    def own(outputs, labels):
        return F.cross_entropy(outputs, labels, reduction="none")

    scape = tw.landscape(nn.Linear(4, 3), (X, changed(Y, 20, 7)), own)
    with pytest.raises(tw.InputError, match=r"sample 20 .*Target 7"):
        measure(scape)


def test_other_data_are_held_to_the_same():
    scape = tw.landscape(nn.Linear(4, 3), (X, Y), "cross_entropy")
    assert torch.equal(other_data(scape, (X, Y), "test").inputs, X)
    for data, words in (
        ((X.double(), Y), "test data: inputs are float64"),
        ((X, Y + 1), "test data: Target 3 of sample 2 "),
    ):
        with pytest.raises(tw.InputError, match=words):
            other_data(scape, data, "test")


Point = collections.namedtuple("Point", "a b")
RIGHT = {
    "tensors": lambda i: (X[i], Y[i]),
    "arrays": lambda i: (X[i].numpy(), Y[i].numpy()),
    "numbers": lambda i: (0.1 * i, i),
    "truths": lambda i: (X[i], i % 2 == 0),
    "scalars of numpy": lambda i: (np.float32(i), np.int32(i)),
    "arrays of float64": lambda i: (X[i].double().numpy(), np.float64(i)),
    "lists": lambda i: ([X[i], i], 0.5),
    "tuples in a dict": lambda i: ({"a": (X[i], X[i] + 1), "b": 1.0}, i),
    "keys in another order": lambda i: ({"a": 1, "b": 2} if i % 2 else {"b": 2, "a": 1}, i),
    "named": lambda i: (Point(X[i], X[i] + 1), i),
    "ordered": lambda i: (collections.OrderedDict(a=X[i], b=1), i),
    "of one length": lambda i: (torch.arange(5) + i, torch.ones(2, 3)),
    "NaN": lambda i: (changed(X[i], 0, float("nan")), i),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_samples_are_stacked_as_torch_stacks_them(name):
    expected = default_collate([RIGHT[name](i) for i in range(N)])
    for data in (Items(RIGHT[name], N), [RIGHT[name](i) for i in range(N)]):
        found = materialise(data)
        given, stacked = leaves(expected), leaves((found.inputs, found.targets))
        assert [t.dtype for t in stacked] == [t.dtype for t in given]
        assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(stacked, given, strict=True))
        kind = type(expected[0])
        assert type(found.inputs) is (tuple if kind is list else kind)


def test_right_data_of_other_kinds_are_the_same_numbers():
    arrays = X.numpy()
    read_only = arrays.copy()
    read_only.flags.writeable = False
    buffer = torch.zeros(4)

    def reused(i):  # one buffer for all samples
        return buffer.copy_(X[i]), Y[i]

    kinds = [
        (arrays[::-1][::-1], Y.tolist()),
        (read_only, Y.numpy()),
        (arrays.astype(">f4"), Frame(Y.numpy())),
        (list(arrays), tuple(Y.tolist())),
        (tuple(arrays), Y),
        (X.clone().requires_grad_(), nn.Parameter(Y.float(), requires_grad=False).data.long()),
        Items(reused, N),
        Subset(TensorDataset(torch.cat([X, X]), torch.cat([Y, Y])), range(N)),
        ConcatDataset([TensorDataset(X[:9], Y[:9]), TensorDataset(X[9:], Y[9:])]),
        loader(batch_size=7, shuffle=True),
        loader(collate_fn=batch, batch_size=6, drop_last=True),
    ]
    for data in kinds:
        found = materialise(data)
        assert torch.equal(found.inputs, X)
        assert torch.equal(found.targets, Y)
        assert not found.inputs.requires_grad
    assert len(materialise([(X[0], Y[0]), (X[1], Y[1])])) == 2
    assert torch.equal(materialise(((arrays, arrays), Y)).inputs[1], X)
    mapping = loader(collate_fn=lambda s: (collections.UserDict(input=batch(s)[0]), batch(s)[1]))
    assert torch.equal(materialise(mapping).inputs["input"], X)


def test_numbers_that_a_module_handles_are_no_fault():
    class Filled(nn.Linear):
        def forward(self, input):
            return super().forward(input.nan_to_num(0, 0, 0))

    given = changed(changed(X, (7, 1), float("nan")), (8, 2), float("-inf"))
    scape = tw.landscape(Filled(4, 3), (given, Y), "cross_entropy")
    assert measure(scape).loss < float("inf")
    tw.landscape(nn.Linear(4, 3), (X, torch.softmax(X[:, :3], 1)), "cross_entropy")  # shares of classes
    tw.landscape(nn.Linear(4, 1), (X, Y[:, None]), "mse")  # one whole number: its mean is its sum


def test_what_is_wrong_is_said_before_all_is_read():
    read = []

    def item(i):
        read.append(i)
        return X[0], 1 if i < 10**5 else "cat"

    assert "sample 999999" in refusal(Items(item, 10**6))
    assert len(read) < 10
    read.clear()
    assert "sample 654321 " in refusal(Items(lambda i: read.append(i) or [right(0)][i >= 654321], 10**6))
    assert len(read) < 40


def test_an_interrupt_passes():
    with pytest.raises(KeyboardInterrupt):
        materialise(Items(fails(KeyboardInterrupt())))


def test_the_command_ends_with_2_and_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "parts.py").write_text(
        "import torch\n"
        "model = torch.nn.Linear(4, 3)\n"
        "class Words(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 60\n"
        "    def __getitem__(self, i): return torch.ones(4), 'cat'\n"
        "class Leaves(Words):\n"
        "    def __getitem__(self, i): raise SystemExit(0)\n"
    )
    (tmp_path / "run").mkdir()
    torch.save(nn.Linear(4, 3).state_dict(), tmp_path / "run" / "step_1.pt")
    file = tmp_path / "parts.py"
    for data, words in (("Words", "'cat' is text"), ("Leaves", "SystemExit: 0")):
        given = ["--model", f"{file}:model", "--data", f"{file}:{data}", "--loss", "cross_entropy"]
        monkeypatch.setattr(
            sys, "argv", ["thalweg", "survey", str(tmp_path / "run"), "--out", str(tmp_path / "o"), *given]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr().err
        assert ended.value.code == 2
        assert words in told
        assert told.count("\n") == 1
