"""chunked_backward: the gradient of all events at once, a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nextstat.torch import HistFactoryLayer, SoftHistogram, chunked_backward

BACKGROUND = torch.tensor([60.0, 30.0, 10.0], dtype=torch.float64)


def make_network(*, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(2, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1), nn.Sigmoid()
    return nn.Sequential(*layers).double()


def make_loss(histogram: SoftHistogram) -> Callable[[Tensor], Tensor]:
    """log CLs of the events' histogram as signal."""

    def loss_of(outputs: Tensor) -> Tensor:
        signal = 20.0 / len(outputs) * histogram(outputs)
        return HistFactoryLayer.from_histograms(signal, BACKGROUND).log_cls()

    return loss_of


def gradients(module: nn.Module) -> list[Tensor]:
    found = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None for gradient in found)
    return [gradient.clone() for gradient in found if gradient is not None]


@pytest.mark.parametrize("chunk_size", [1, 7, 50, 300, 1000])
def test_equals_the_full_batch(chunk_size: int) -> None:
    """In the network, and in the bins and the bandwidth that the loss learns."""
    events = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for size in (None, chunk_size):
        network = make_network()
        edges = torch.linspace(0.0, 1.0, 4, dtype=torch.float64)
        histogram = SoftHistogram(edges, 0.2, learn_edges=True, learn_bandwidth=True)
        loss_of = make_loss(histogram)
        if size is None:
            loss = loss_of(network(events))
            loss.backward()
        else:
            loss = chunked_backward(network, events, loss_of, chunk_size=size)
        assert loss.requires_grad == (size is None)
        found.append((loss.item(), gradients(network) + gradients(histogram)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-12)
    for full, chunked in zip(found[0][1], found[1][1], strict=True):
        scale = full.abs().max().item()
        torch.testing.assert_close(chunked, full, rtol=1e-12, atol=1e-12 * scale)


def test_random_layers_see_the_same_numbers_twice() -> None:
    """Both passes drop the same units: the gradient is that of the loss returned."""
    events = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    loss_of = make_loss(SoftHistogram([0.0, 0.3, 0.6, 1.0], 0.2))
    network = make_network(dropout=0.5)
    torch.manual_seed(5)
    loss = chunked_backward(network, events, loss_of, chunk_size=8)
    after = torch.rand(1)
    found = gradients(network)
    network.zero_grad()
    torch.manual_seed(5)
    whole = loss_of(torch.cat([network(chunk) for chunk in torch.split(events, 8)]))
    whole.backward()
    assert loss.item() == pytest.approx(whole.item(), rel=1e-12)
    assert torch.rand(1) == after
    for one, other in zip(found, gradients(network), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_rejected() -> None:
    events, loss_of = torch.randn(10, 2), make_loss(SoftHistogram([0.0, 0.5, 1.0], 0.2))
    with pytest.raises(ValueError, match="chunk_size is 0"):
        chunked_backward(make_network(), events, loss_of, chunk_size=0)
    mixing = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1), nn.Sigmoid())
    with pytest.raises(ValueError, match=r"1 \(BatchNorm1d\) mixes events"):
        chunked_backward(mixing, events, loss_of, chunk_size=5)
