"""From tensors to a statistic and back: the one place where torch meets the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nextstat._execution.threads import get_num_threads
from nextstat._gradients.derivatives import Fields
from nextstat.exceptions import FitError

Array = npt.NDArray[np.float64]
Shapes = Mapping[str, tuple[int, ...]]
# Value for one element of the batch, and the way back from a derivative in it.
Outcome = tuple[Array | float, Callable[[Array], Fields]]
Compute = Callable[[dict[str, Array], int], Outcome]


def evaluate(compute: Compute, inputs: Mapping[str, Tensor], shapes: Shapes) -> Tensor:
    """Call a function for each element of the batch of its inputs, differentiably.

    Parameters
    ----------
    compute : callable
        Takes float64 arrays by name, and the number of the element in the batch.
    inputs : mapping of str to Tensor
        Of any floating-point type, on any device; leading dimensions are those of the batch, and
        broadcast.
    shapes : mapping of str to tuple of int
        Of one element.

    Returns
    -------
    Tensor
        float64, the batch dimensions first, on the device of the inputs.

    Raises
    ------
    TypeError
        If an input is no tensor of floating-point numbers.
    ValueError
        If an input has the wrong shape or is not finite.
    FitError
        If a fit did not converge; says for which element of the batch.
    """
    for name, tensor in inputs.items():
        _check(name, tensor, shapes[name])
    value: Tensor = _Evaluate.apply(compute, tuple(inputs), shapes, *inputs.values())  # type: ignore[no-untyped-call]
    return value


def _check(name: str, tensor: object, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name!r} is a {type(tensor).__name__}, expected a torch.Tensor")
    if not tensor.is_floating_point():
        raise TypeError(f"{name!r} is of type {tensor.dtype}, expected floating-point numbers")
    if tensor.shape[max(tensor.ndim - len(shape), 0) :] != shape:
        raise ValueError(
            f"{name!r} has shape {tuple(tensor.shape)}, expected {shape}, with the dimensions of a "
            "batch before it if there are several"
        )


def to_array(tensor: Tensor) -> Array:
    """A float64 array of the values, which shares memory where it can."""
    own = tensor.detach()
    if own.dtype != torch.float64 or own.device.type != "cpu":
        own = own.to("cpu", torch.float64)
    array: Array = own.numpy()
    return array


class _Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, compute: Compute, names: tuple[str, ...], shapes: Shapes, *tensors: Tensor
    ) -> Tensor:
        arrays = {name: to_array(t) for name, t in zip(names, tensors, strict=True)}
        for name, array in arrays.items():
            if not math.isfinite(array.sum()) and not np.isfinite(array).all():
                first = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
                raise ValueError(f"{name!r} is not finite: {array[first]} at {first}")
        elements = _Elements(arrays, shapes)
        outcomes = _for_each(compute, elements)
        value = elements.stack([v for v, _ in outcomes])
        ctx.pull_backs = [pull_back for _, pull_back in outcomes]
        ctx.elements, ctx.names = elements, names
        ctx.save_for_backward(*tensors)
        result = torch.from_numpy(value)
        elsewhere = next((t.device for t in tensors if t.device.type != "cpu"), None)
        return result if elsewhere is None else result.to(elsewhere)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found = _backward(ctx, gradient)
        if not torch.is_grad_enabled():
            return found
        sources = gradient, *ctx.saved_tensors
        return tuple(None if x is None else _Once.apply(x, *sources) for x in found)  # type: ignore[no-untyped-call]


class _Once(torch.autograd.Function):
    """Derivatives that cannot be differentiated again: whoever tries shall know."""

    @staticmethod
    def forward(ctx: Any, derivative: Tensor, *sources: Tensor) -> Tensor:
        return derivative.view_as(derivative)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError(
            "derivatives of statistics cannot be differentiated again: the engine gives first "
            "derivatives only"
        )


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    elements = ctx.elements
    g = to_array(gradient).reshape(elements.n, *gradient.shape[len(elements.batch) :])
    found = [pull_back(own) for pull_back, own in zip(ctx.pull_backs, g, strict=True)]
    wanted = zip(ctx.names, ctx.saved_tensors, ctx.needs_input_grad[3:], strict=True)
    derivatives = (
        _like(tensor, elements.join(name, found)) if wants else None
        for name, tensor, wants in wanted
    )
    return (None, None, None, *derivatives)


def _like(tensor: Tensor, array: Array) -> Tensor:
    """An array as a tensor of the type of another, on its device."""
    own = torch.from_numpy(array)
    same = tensor.dtype == torch.float64 and tensor.device.type == "cpu"
    return own if same else own.to(tensor.device, tensor.dtype)


class _Elements:
    """The elements of a batch of arrays that broadcast."""

    def __init__(self, arrays: dict[str, Array], shapes: Shapes) -> None:
        self.arrays, self.shapes = arrays, shapes
        leading = {x.shape[: x.ndim - len(shapes[name])] for name, x in arrays.items()}
        self.batch: tuple[int, ...] = ()
        try:
            if leading != {()}:
                self.batch = np.broadcast_shapes(*leading)
        except ValueError:
            found = {name: x.shape for name, x in arrays.items()}
            raise ValueError(f"the batch dimensions of {found} do not broadcast") from None
        self.n = math.prod(self.batch)
        if self.n == 0:
            raise ValueError(f"the batch has shape {self.batch}: there is nothing to fit")

    def __iter__(self) -> Iterator[dict[str, Array]]:
        if not self.batch:
            yield self.arrays
            return
        flat = {
            name: np.broadcast_to(x, (*self.batch, *self.shapes[name])).reshape(
                self.n, *self.shapes[name]
            )
            for name, x in self.arrays.items()
        }
        for i in range(self.n):
            yield {name: x[i] for name, x in flat.items()}

    def stack(self, values: list[Array | float]) -> Array:
        """The values of all elements as one array."""
        if not self.batch:
            return np.asarray(values[0], dtype=np.float64)
        stacked = np.array(values, dtype=np.float64)
        return stacked.reshape((*self.batch, *stacked.shape[1:]))

    def join(self, name: str, found: list[Fields]) -> Array:
        """Derivatives in one input from those of all elements."""
        shape, own = self.arrays[name].shape, self.shapes[name]
        if not self.batch:
            alone = found[0].get(name)
            return np.zeros(own) if alone is None else np.asarray(alone).reshape(own)
        full = np.reshape([f.get(name, np.zeros(own)) for f in found], (*self.batch, *own))
        n_new = full.ndim - len(shape)
        total = full.sum(axis=tuple(range(n_new)))
        repeated = tuple(k for k, n in enumerate(shape) if n == 1 and total.shape[k] != 1)
        joined: Array = total.sum(axis=repeated, keepdims=True)
        return joined


def _for_each(compute: Compute, elements: _Elements) -> list[Outcome]:
    """Elements are independent; the engine works without Python's lock."""
    if not elements.batch:
        return [compute(elements.arrays, 0)]

    def one(item: tuple[int, dict[str, Array]]) -> Outcome:
        index, values = item
        try:
            return compute(values, index)
        except (FitError, ValueError) as error:
            where = tuple(int(k) for k in np.unravel_index(index, elements.batch))
            raise type(error)(f"element {where} of the batch: {error}") from error

    with ThreadPoolExecutor(get_num_threads()) as pool:
        return list(pool.map(one, enumerate(elements)))
