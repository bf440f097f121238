"""Gradients of a loss of all events at once, in memory for a few of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nextstat._base.arguments import check_integer

_DEPENDS_ON_THE_BATCH = (nn.modules.batchnorm._BatchNorm,)


def chunked_backward(
    network: nn.Module,
    events: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    *,
    chunk_size: int,
) -> Tensor:
    """Backpropagate a loss that needs the outputs for all events, a chunk of events at a time.

    A statistic is no sum over events, so batches give it a bias; all events at once may not fit
    into memory. Here the network sees all chunks without a graph, the loss gives its derivative
    in each output, and the chunks are then seen once more, each with its part of this derivative.
    Gradients add up in the ``grad`` of the network's parameters, and of whatever else the loss
    depends on, as after ``loss.backward()``.

    Parameters
    ----------
    network : torch.nn.Module
        Acts on each event alone. Random numbers (dropout) are the same in both passes.
    events : (n_events, ...) Tensor
    loss_of : callable
        From outputs for all events, (n_events, ...), to a scalar loss.
    chunk_size : int
        Number of events at a time.

    Returns
    -------
    () Tensor
        The loss, detached.

    Raises
    ------
    ValueError
        If the chunk size is not positive, or the network has layers that mix events (batch
        normalisation in training mode).
    """
    check_integer(chunk_size, "chunk_size")
    for name, module in network.named_modules():
        if isinstance(module, _DEPENDS_ON_THE_BATCH) and (
            module.training or module.running_mean is None
        ):
            raise ValueError(
                f"{name or 'the network'} ({type(module).__name__}) mixes events of a batch; use "
                "layers that do not, or put it into eval mode"
            )
    chunks = torch.split(events, chunk_size)
    states = []
    with torch.no_grad():
        parts = []
        for chunk in chunks:
            states.append(_random_state(events.device))
            parts.append(network(chunk))
    outputs = torch.cat(parts).requires_grad_()
    loss = loss_of(outputs)
    loss.backward()  # type: ignore[no-untyped-call]
    if outputs.grad is None:
        raise ValueError("the loss does not depend on the outputs of the network")
    if not (events.requires_grad or any(p.requires_grad for p in network.parameters())):
        return loss.detach()
    after = _random_state(events.device)
    for chunk, state, gradient in zip(
        chunks, states, torch.split(outputs.grad, chunk_size), strict=True
    ):
        _set_random_state(events.device, state)
        network(chunk).backward(gradient)
    _set_random_state(events.device, after)
    return loss.detach()


def _random_state(device: torch.device) -> Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
