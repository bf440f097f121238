"""One histogram for a sample of several channels."""

from __future__ import annotations

import torch
from torch import Tensor

from nextstat._base.messages import unknown
from nextstat._model.histfactory import HistFactoryModel


class Sample:
    """Where a sample's bins are in the channels of a model.

    Parameters
    ----------
    model : HistFactoryModel
    name : str

    Attributes
    ----------
    n_bins : dict of str to int
        By the names of the templates, channel by channel.

    Raises
    ------
    KeyError
        If the model has no such sample; the message names the nearest.
    """

    def __init__(self, model: HistFactoryModel, name: str) -> None:
        if name not in model.samples:
            raise KeyError(unknown("sample", str(name), model.samples))
        self.name = name
        members = model.channel_samples
        self.n_bins = {
            f"{channel}/{name}": n
            for channel, n in zip(model.channels, model.channel_bins, strict=True)
            if name in members[channel]
        }

    def split(self, histogram: Tensor) -> dict[str, Tensor]:
        """The templates, of a histogram of all bins, (..., n_bins), channel after channel.

        Raises
        ------
        TypeError, ValueError
            If it is no tensor of that shape.
        """
        if not isinstance(histogram, Tensor):
            found = type(histogram).__name__
            raise TypeError(f"the histogram is a {found}, expected a torch.Tensor")
        sizes = list(self.n_bins.values())
        if histogram.shape[-1:] != (sum(sizes),):
            raise ValueError(
                f"the histogram has shape {tuple(histogram.shape)}, expected (..., {sum(sizes)}): "
                f"the bins of {self.name!r} in {list(self.n_bins)}"
            )
        return dict(zip(self.n_bins, torch.split(histogram, sizes, dim=-1), strict=True))
