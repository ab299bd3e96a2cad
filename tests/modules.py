"""Modules of every layer family of torch, and what people wrap them in: each works, or is refused for its reason."""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

SAMPLES = 5


@dataclass(frozen=True)
class Case:
    """A module with data.

    Attributes:
        make: the module, its weights from the global stream.
        inputs: (generator) -> inputs of SAMPLES samples.
        refused: a part of the sentence that refuses it; None where it works.
        dtype: of weights and targets.
        rounding: by which losses and gradients may miss the truth, of the largest; default a thousand roundings.
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[torch.Generator], Any]
    refused: str | None = None
    dtype: torch.dtype = torch.float32
    rounding: float | None = None

    @property
    def near(self) -> float:
        return self.rounding or 1000 * torch.finfo(self.dtype).eps


def squares(outputs: Any, targets: Tensor) -> Tensor:
    """Mean over a sample's numbers of the square of their distance from its target."""
    if isinstance(outputs, dict):
        outputs = outputs["logits"]
    while not isinstance(outputs, Tensor):
        outputs = outputs[0]
    outputs = torch.view_as_real(outputs) if outputs.is_complex() else outputs
    return (outputs.flatten(1) - targets[:, None]).square().mean(1)


class Behind(nn.Module):
    """A layer behind weights of its own, so that a layer without weights has a gradient to pass on."""

    def __init__(self, layer: nn.Module, *shape: int) -> None:
        super().__init__()
        self.scale, self.layer = nn.Parameter(1 + 0.1 * torch.randn(shape)), layer

    def forward(self, x: Tensor) -> Any:
        return self.layer(x * self.scale)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def normal(*shape: int) -> Callable[[torch.Generator], Tensor]:
    return lambda g: torch.randn(SAMPLES, *shape, generator=g)


def words(length: int, count: int = 6) -> Callable[[torch.Generator], Tensor]:
    def made(g: torch.Generator) -> Tensor:
        found = torch.randint(1, count, (SAMPLES, length), generator=g)
        found[1:, length - 1 :] = 0
        return found

    return made


def layer(make: Callable[[], nn.Module], *shape: int, **more: Any) -> Case:
    """A layer behind weights of its own."""
    return Case(lambda: Behind(make(), *shape), normal(*shape), **more)


# ---- modules whose forward pass is their own


class Calls(nn.Module):
    """A module around another, whose forward pass is a function of both."""

    def __init__(self, inner: nn.Module, forward: Callable[[nn.Module, Any], Any]) -> None:
        super().__init__()
        self.inner, self.call = inner, forward

    def forward(self, x: Any) -> Any:
        return self.call(self.inner, x)


class Encoder(nn.Module):
    """A transformer with a padding mask; torch has a faster kernel for it where there are no gradients."""

    def __init__(self, norm_first: bool = False) -> None:
        super().__init__()
        layers = nn.TransformerEncoderLayer(4, 2, 4, batch_first=True, dropout=0.1, norm_first=norm_first)
        self.embed, self.head = nn.Embedding(6, 4), nn.Linear(4, 1)
        self.body = nn.TransformerEncoder(layers, 1, enable_nested_tensor=not norm_first)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.embed(x), src_key_padding_mask=x == 0).mean(1))


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Embedding(6, 4), nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.attention(h, h, h, key_padding_mask=x == 0, need_weights=False)[0].mean(1)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.body = nn.Embedding(6, 4), nn.Transformer(4, 2, 1, 1, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.body(self.embed(x), self.embed(x), tgt_mask=mask)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.body = nn.Embedding(6, 3), nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x > 0).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(x), lengths, batch_first=True, enforce_sorted=False)
        return self.body(packed)[1][0]


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.RNNCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)[0] + self.b(x) + self.c(x)


class Bags(nn.Module):
    def __init__(self, **more: Any) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(6, 3, **more)

    def forward(self, x: Tensor) -> Tensor:
        return self.bag(x)


class Lists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.many = nn.ParameterList([nn.Parameter(torch.randn(3, 3)) for _ in range(2)])
        self.named = nn.ParameterDict({"a": nn.Parameter(torch.randn(3)), "b": nn.Parameter(torch.randn(3))})
        self.layers = nn.ModuleDict({"x": nn.ModuleList([nn.Linear(3, 2)])})

    def forward(self, x: Tensor) -> Tensor:
        for w in self.many:
            x = x @ w + self.named["a"]
        return self.layers["x"][0](x * self.named["b"])


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(6, 4), nn.Linear(4, 6, bias=False)
        self.out.weight = self.embed.weight
        self.block = nn.Linear(4, 4)
        self.again = self.block

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.again(self.block(self.embed(x)))).mean(1)


class Counting(nn.Module):
    """Counts its passes, in place and by a new tensor, and a running mean; none of them is in its loss."""

    def __init__(self, used: bool = False) -> None:
        super().__init__()
        self.inner, self.used, self.calls = net(), used, 0
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.scale = self.scale * 0.9
        self.calls += 1
        out = self.inner(x)
        with torch.no_grad():
            self.mean.mul_(0.9).add_(0.1 * out.detach().mean(0))
        return out * self.scale * (self.calls if self.used else 1)


class Stateful(nn.Module):
    """Goes on from the state that its last pass left."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.state = nn.GRUCell(3, 3), None

    def forward(self, x: Tensor) -> Tensor:
        self.state = self.body(x, self.state)
        return self.state


class Remembering(nn.Module):
    """Keeps what it saw last, with its graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen, self.all = net(), None, []
        self.inner[0].register_forward_hook(self.see)

    def see(self, module: nn.Module, given: Any, found: Tensor) -> None:
        self.seen = found

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.inner(x)
        return self.last


class Modes(nn.Module):
    """Another path where there are no gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) if torch.is_grad_enabled() else self.inner(x).round(decimals=1)


class Holding(nn.Module):
    """Holds something that is no tensor."""

    def __init__(self, thing: Any) -> None:
        super().__init__()
        self.inner, self.thing = net(), thing

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Locked(Holding):
    def __init__(self) -> None:
        super().__init__({"lock": threading.RLock(), "torch": torch, "call": lambda x: x})

    def forward(self, x: Tensor) -> Tensor:
        with self.thing["lock"]:
            return self.thing["call"](self.inner(x))


class Recomputed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.first, self.inner, self.reentrant = nn.Linear(3, 3), net(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, self.first(x), use_reentrant=self.reentrant)


class Early(nn.Module):
    """Computes a weight before its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.inner = nn.Parameter(torch.randn(2)), net()
        self.twice = 2 * self.w

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.twice


class Merging(nn.Module):
    """Adds a part of its weights to the others in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.part, self.merged = nn.Linear(3, 2), nn.Parameter(torch.randn(2, 3)), False

    def train(self, mode: bool = True) -> "Merging":
        if mode == self.merged:
            self.base.weight.data += self.part if not mode else -self.part
            self.merged = not mode
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) if self.merged else self.base(x) + x @ self.part.T


class Lora(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(3, 3).requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(1, 3)), nn.Parameter(0.1 * torch.randn(3, 1))
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.drop(x) @ self.a.T @ self.b.T


class Rescaled(nn.Module):
    """A parametrisation of the user's."""

    def forward(self, w: Tensor) -> Tensor:
        return w / (1 + w.norm())


class Adaptive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.AdaptiveLogSoftmaxWithLoss(3, 6, [2, 4])

    def forward(self, x: Tensor) -> Tensor:
        return self.layer.log_prob(x)


@torch.compile(backend="eager")
def compiled_sine(x: Tensor) -> Tensor:
    return torch.sin(x) * 2


def sine(x: Tensor) -> Tensor:
    return torch.sin(x) * 2


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scripted_sine = torch.jit.script(sine)


class Energy(nn.Module):
    """Gives minus the gradient of an energy."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            return -torch.autograd.grad(self.inner(place).square().sum(), place, create_graph=True)[0]


class Listed(nn.Module):
    """A layer in a list of Python's, which torch does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.layers = net(), [nn.Linear(3, 3)]

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.layers[0](x))


class Two(nn.Module):
    """Two inputs, by name or by place."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.near = nn.Bilinear(3, 2, 4), nn.CosineSimilarity()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.mix(a, b) * (1 + self.near(a[:, :2], b)[:, None]) + F.pairwise_distance(a[:, :2], b)[:, None]


class Complex(nn.Module):
    def __init__(self, moving: bool) -> None:
        super().__init__()
        self.inner = net()
        self.turn = nn.Parameter(torch.randn(2, dtype=torch.complex64), requires_grad=moving)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.turn


class Writing(nn.Module):
    """Operations in place on activations."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        out[:, 0] *= 2
        return out.add_(1).clamp_(-2, 2)


class Fourier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.filter = net(), nn.Parameter(torch.randn(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(self.inner(x)) * self.filter, n=2)


def changed(made: nn.Module, change: Callable[[nn.Module], object]) -> nn.Module:
    change(made)
    return made


def after_a_pass(made: nn.Module) -> nn.Module:
    made(torch.randn(SAMPLES, 3))
    return made


def frozen() -> nn.Module:
    made = net()
    made[0].requires_grad_(False)
    return made


def whole_parameter() -> nn.Module:
    made = net()
    made.register_parameter("table", nn.Parameter(torch.arange(3), requires_grad=False))
    return made


def one_memory() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    made[1].weight.data = made[0].weight.data
    return made


def no_forward() -> nn.Module:
    return changed(nn.Module(), lambda m: m.add_module("inner", net()))


def with_optimizer() -> nn.Module:
    made = net()
    made.optimizer = torch.optim.Adam(made.parameters())
    made(torch.randn(SAMPLES, 3)).sum().backward()
    made.optimizer.step()
    return made


def pruned_twice() -> nn.Module:
    made = prune.random_unstructured(nn.Linear(3, 2), "weight", 2)
    return prune.random_structured(made, "weight", 1, 0)


def patched() -> nn.Module:
    made = net()
    made.forward = lambda x: made[2](made[0](x))  # torch's copy calls the layers of this one
    return made


def quantised() -> nn.Module:
    class Half(nn.Module):
        """Stands for a layer that torch.ao has quantised."""

    Half.__module__ = "torch.ao.nn.quantized"
    return nn.Sequential(net(), Half())


X, WORDS, IMAGE = normal(3), words(4), (2, 6, 6)
DENSE = {
    "Linear": Case(net, X),
    "Linear in float64": Case(lambda: net().double(), lambda g: X(g).double(), dtype=torch.float64),
    "Bilinear, two inputs": Case(Two, lambda g: (normal(3)(g), normal(2)(g))),
    "inputs by name": Case(Two, lambda g: {"a": normal(3)(g), "b": normal(2)(g)}),
    "lists and dicts of parameters": Case(Lists, X),
    "tied weights, a shared module": Case(Tied, WORDS),
    "frozen parameters": Case(frozen, X),
    "whole numbers as a parameter": Case(whole_parameter, X),
    "LoRA": Case(Lora, X),
    "weights merged in eval mode": Case(Merging, X, "eval"),
    "Fourier transform": Case(Fourier, X),
    "activations in place": Case(Writing, X),
    "Dropout, AlphaDropout, RReLU": layer(
        lambda: nn.Sequential(nn.Dropout(), nn.AlphaDropout(), nn.FeatureAlphaDropout(), nn.RReLU()), 3
    ),
    "smooth activations": layer(
        lambda: nn.Sequential(nn.GELU(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.ELU(), nn.SELU(), nn.CELU()), 3
    ),
    "kinked activations": layer(
        lambda: nn.Sequential(nn.PReLU(), nn.LeakyReLU(), nn.Hardswish(), nn.Hardtanh(), nn.ReLU6()), 3
    ),
    "Softmax, LogSoftmax, Softmin, GLU": layer(
        lambda: nn.Sequential(nn.GLU(), nn.LogSoftmax(1), nn.Softmin(1), nn.Softmax(1)), 4
    ),
    "AdaptiveLogSoftmaxWithLoss": Case(Adaptive, X),
}
SPACE = {
    "Conv1d": layer(lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), 2, 6),
    "Conv2d": layer(lambda: nn.Conv2d(2, 4, 3, groups=2, stride=2), *IMAGE),
    "Conv3d": layer(lambda: nn.Conv3d(1, 2, 2), 1, 3, 3, 3),
    "ConvTranspose1d": layer(lambda: nn.ConvTranspose1d(2, 2, 3), 2, 4),
    "ConvTranspose2d": layer(lambda: nn.ConvTranspose2d(2, 2, 3, stride=2), 2, 3, 3),
    "ConvTranspose3d": layer(lambda: nn.ConvTranspose3d(1, 2, 2), 1, 2, 2, 2),
    "channels_last": layer(lambda: nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last), *IMAGE),
    "MaxPool2d, MaxUnpool2d": layer(
        lambda: Calls(nn.MaxPool2d(2, return_indices=True), lambda m, x: F.max_unpool2d(*m(x), 2)), *IMAGE
    ),
    "AvgPool2d, LPPool2d": layer(lambda: nn.Sequential(nn.AvgPool2d(2), nn.LPPool2d(2, 2)), *IMAGE),
    "AdaptiveAvgPool2d, AdaptiveMaxPool2d": layer(
        lambda: nn.Sequential(nn.AdaptiveMaxPool2d(4), nn.AdaptiveAvgPool2d(2)), *IMAGE
    ),
    "FractionalMaxPool2d": layer(lambda: nn.FractionalMaxPool2d(2, 4), 1, 9, 9, refused="random"),
    "Upsample": layer(lambda: nn.Sequential(nn.Upsample(8, mode="bilinear"), nn.Upsample(4)), *IMAGE),
    "PixelShuffle": layer(lambda: nn.Sequential(nn.PixelUnshuffle(2), nn.PixelShuffle(2)), *IMAGE),
    "ChannelShuffle, padding": layer(
        lambda: nn.Sequential(nn.ChannelShuffle(2), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1)), *IMAGE
    ),
    "Fold, Unfold": layer(lambda: nn.Sequential(nn.Unfold(3), nn.Fold(6, 3)), *IMAGE),
    "grid_sample": layer(
        lambda: Calls(nn.Identity(), lambda m, x: F.grid_sample(x, x[:, :, :2].permute(0, 2, 3, 1).tanh())), *IMAGE
    ),
}
NORMS = {
    "BatchNorm2d": layer(lambda: nn.BatchNorm2d(2), *IMAGE),
    "BatchNorm1d without running statistics": layer(
        lambda: nn.BatchNorm1d(3, track_running_stats=False), 3, refused="a single sample"
    ),
    "GroupNorm": layer(lambda: nn.GroupNorm(2, 2), *IMAGE),
    "InstanceNorm2d": layer(lambda: nn.InstanceNorm2d(2, affine=True), *IMAGE),
    "InstanceNorm2d, running statistics": layer(lambda: nn.InstanceNorm2d(2, track_running_stats=True), *IMAGE),
    "LayerNorm, RMSNorm": layer(lambda: nn.Sequential(nn.LayerNorm(3), nn.RMSNorm(3)), 3),
    "LocalResponseNorm": layer(lambda: nn.LocalResponseNorm(2), *IMAGE),
}
SEQUENCES = {
    "Embedding": Case(lambda: nn.Sequential(nn.Embedding(6, 3), nn.Linear(3, 2)), WORDS),
    "Embedding, sparse gradients": Case(lambda: nn.Embedding(6, 3, sparse=True), WORDS),
    "Embedding, sparse gradients of a function": Case(
        lambda: Calls(nn.Embedding(6, 3), lambda m, x: F.embedding(x, m.weight, sparse=True)), WORDS, "sparse"
    ),
    "Embedding, max_norm": Case(lambda: nn.Embedding(6, 3, max_norm=0.5), WORDS, "writes to .*weight"),
    "EmbeddingBag": Case(Bags, WORDS),
    "EmbeddingBag, largest": Case(lambda: Bags(mode="max"), WORDS),
    "EmbeddingBag, sparse gradients": Case(lambda: Bags(mode="sum", sparse=True), WORDS),
    "RNN": Case(lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True), normal(4, 3)),
    "LSTM, both directions": Case(lambda: nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True), normal(4, 3)),
    "LSTM, projected": Case(lambda: nn.LSTM(3, 4, proj_size=2, dropout=0.0, batch_first=True), normal(4, 3)),
    "GRU": Case(lambda: nn.GRU(3, 4, batch_first=True), normal(4, 3)),
    "GRU, packed sequences": Case(Packed, WORDS),
    "LSTMCell, GRUCell, RNNCell": Case(Cells, X),
    "MultiheadAttention, padded": Case(SelfAttention, WORDS),
    "TransformerEncoder, padded": Case(Encoder, WORDS),
    "TransformerEncoder, norm first": Case(lambda: Encoder(norm_first=True), WORDS),
    "Transformer": Case(Decoder, WORDS),
    "scaled_dot_product_attention": Case(
        lambda: Calls(nn.Linear(4, 12), lambda m, x: F.scaled_dot_product_attention(*m(x).chunk(3, -1))), normal(3, 4)
    ),
}
WEIGHTS = {
    "weight_norm as a hook": Case(lambda: nn.utils.weight_norm(nn.Linear(3, 2)), X),
    "spectral_norm as a hook": Case(lambda: after_a_pass(nn.utils.spectral_norm(nn.Linear(3, 2))), X),
    "weight_norm": Case(lambda: parametrizations.weight_norm(nn.Linear(3, 2)), X),
    "spectral_norm": Case(lambda: parametrizations.spectral_norm(nn.Linear(3, 2)), X),
    "orthogonal": Case(lambda: parametrizations.orthogonal(nn.Linear(3, 3)), X),
    "a parametrisation of one's own": Case(
        lambda: changed(nn.Linear(3, 2), lambda m: parametrize.register_parametrization(m, "weight", Rescaled())), X
    ),
    "pruned": Case(lambda: after_a_pass(prune.l1_unstructured(nn.Linear(3, 2), "weight", 2)), X),
    "pruned twice": Case(pruned_twice, X),
    "weights computed early": Case(Early, X, "twice"),
    "weights in one memory": Case(one_memory, X, "share"),
    "LazyLinear": Case(lambda: nn.LazyLinear(2), X, "once"),
    "LazyBatchNorm1d": Case(lambda: nn.Sequential(net(), nn.LazyBatchNorm1d()), X, "once"),
    "meta device": Case(lambda: net().to("meta"), X, "meta"),
    "bfloat16": Case(lambda: net().bfloat16(), lambda g: X(g).bfloat16(), "float32 or float64"),
    "float16": Case(lambda: net().half(), lambda g: X(g).half(), "float32 or float64"),
    "complex, frozen": Case(lambda: Complex(moving=False), X),
    "complex, moving": Case(lambda: Complex(moving=True), X, "real"),
    "quantised": Case(quantised, X, "quantised"),
    "a sparse buffer": Case(
        lambda: changed(net(), lambda m: m.register_buffer("near", torch.eye(3).to_sparse())), X, "to_dense"
    ),
}
WRAPPED = {
    "torch.compile": Case(lambda: torch.compile(net(), backend="eager"), X),
    "a compiled child": Case(lambda: nn.Sequential(torch.compile(net(), backend="eager"), nn.Linear(2, 2)), X),
    "compiled in place": Case(lambda: changed(net(), lambda m: m.compile(backend="eager")), X),
    "DataParallel": Case(lambda: nn.DataParallel(net()), X),
    "DataParallel inside": Case(lambda: nn.Sequential(nn.DataParallel(net()), nn.Linear(2, 2)), X),
    "a wrapper with hooks": Case(
        lambda: changed(nn.DataParallel(net()), lambda m: m.register_forward_hook(lambda m, x, out: 2 * out)),
        X,
        "hooks",
    ),
    "AveragedModel": Case(lambda: AveragedModel(net()), X),
    "torch.jit.script": Case(lambda: torch.jit.script(net()), X, "Python module"),
    "torch.jit.trace inside": Case(
        lambda: nn.Sequential(torch.jit.trace(net(), torch.ones(1, 3))), X, "Python module"
    ),
    "torch.fx": Case(lambda: torch.fx.symbolic_trace(net()), X),
    "checkpoint": Case(lambda: Recomputed(reentrant=False), X, "checkpoint"),
    "checkpoint, reentrant": Case(lambda: Recomputed(reentrant=True), X, "checkpoint"),
    "outputs as a dict": Case(lambda: Calls(net(), lambda m, x: {"logits": m(x)}), X),
    "outputs as a tuple": Case(lambda: Calls(net(), lambda m, x: (m(x), x)), X),
    "autocast inside": Case(
        lambda: Calls(net(), lambda m, x: torch.autocast("cpu", torch.bfloat16)(m)(x).float()), X, rounding=2**-6
    ),
    "a compiled function": Case(lambda: Calls(net(), lambda m, x: compiled_sine(m(x))), X),
    "a scripted function": Case(lambda: Calls(net(), lambda m, x: scripted_sine(m(x))), X),
    "a forward pass with gradients of its own": Case(Energy, X),
    "torch.func inside": Case(
        lambda: Calls(net(), lambda m, x: torch.func.vmap(torch.func.grad(lambda v: m(v).sum()))(x)), X
    ),
}
HELD = {
    "buffers that the forward pass writes": Case(Counting, X),
    "a count of passes in the loss": Case(lambda: Counting(used=True), X),
    "activations kept": Case(lambda: after_a_pass(Remembering()), X),
    "a lock, a module, a lambda": Case(Locked, X),
    "a sparse tensor": Case(lambda: Holding(torch.eye(3).to_sparse()), X),
    "a torch.Generator": Case(lambda: Holding(torch.Generator()), X),
    "an open file": Case(lambda: Holding(open(__file__)), X, "thing"),  # noqa: SIM115  (what the case is)
    "a Python generator": Case(lambda: Holding([iter(()), (i for i in ())]), X, "thing"),
    "a state kept from pass to pass": Case(Stateful, X),
    "weights of another module": Case(patched, X, "elsewhere"),
    "a layer that is not registered": Case(Listed, X, "layers"),
    "an optimizer": Case(with_optimizer, X),
    "no forward pass": Case(no_forward, X, "no forward"),
    "gumbel_softmax": Case(lambda: Calls(net(), lambda m, x: F.gumbel_softmax(m(x))), X, "random"),
    "another path without gradients": Case(Modes, X, "is_grad_enabled"),
}
MODULES = DENSE | SPACE | NORMS | SEQUENCES | WEIGHTS | WRAPPED | HELD
