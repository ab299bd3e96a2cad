"""Small worlds that several tests live in."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import thalweg as tw

torch.set_num_threads(1)  # two workers of two threads each on two cores take ten times as long


class Net(nn.Module):
    """Odd widths on purpose: an element in a scalar tail would show in the bits."""

    def __init__(self, inputs: int = 7, hidden: int = 13, outputs: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classes(n: int = 200, inputs: int = 7, outputs: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = generator(seed)
    return torch.randn(n, inputs, generator=g), torch.randint(outputs, (n,), generator=g)


def write_run(folder: Path, count: int = 6, seed: int = 0) -> Path:
    """Checkpoints of a network under plain gradient descent on `classes()`."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Net()
    inputs, targets = classes()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for step in range(count):
        save_file(net.state_dict(), folder / f"step-{10 * step}.safetensors", {"step": str(10 * step)})
        for _ in range(10):
            optimizer.zero_grad()
            F.cross_entropy(net(inputs), targets).backward()
            optimizer.step()
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def net_landscape() -> tw.Landscape:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tw.landscape(Net(), classes(), F.cross_entropy)
