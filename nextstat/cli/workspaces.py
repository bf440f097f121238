"""Looking at a workspace: inspect, validate."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import click

from nextstat.cli import options
from nextstat.cli.output import decimals, emit, line, table, title

if TYPE_CHECKING:
    from nextstat import HistFactoryModel


@click.command()
@options.model
def inspect(model: HistFactoryModel, as_json: bool) -> None:
    """Show channels, samples and parameters of a workspace."""
    emit(_plain_model(model), as_json, lambda: _model_details(model))


@click.command()
@options.source
def validate(as_json: bool, **source: Any) -> None:
    """Check a workspace; exit code 0 if it makes a model."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        model = options.load(**source)
    messages = [str(note.message) for note in notes]
    data = {"valid": True, "warnings": messages, "model": repr(model)}
    emit(data, as_json, lambda: _verdict(model, messages))


def _plain_model(model: HistFactoryModel) -> dict[str, Any]:
    """What `inspect` shows, as plain data."""
    return {
        "channels": dict(zip(model.channels, model.channel_bins, strict=True)),
        "samples": list(model.samples),
        "poi": model.poi,
        "n_bins": model.n_bins,
        "observed": float(model.data.sum()),
        "parameters": [parameter._asdict() for parameter in model.parameters],
    }


def model_summary(model: HistFactoryModel) -> None:
    """Channels with their bins and events, and the parameters by kind."""
    by_sample = model.expected_by_sample(model.init)
    rows = []
    for channel, bins in model.channel_slices.items():
        inside = by_sample[:, bins].sum(axis=1)
        counts = (str(bins.stop - bins.start), f"{model.data[bins].sum():.10g}")
        rows.append((channel, *counts, decimals(inside.sum()), str((inside != 0.0).sum())))
    table(("channel", "bins", "observed", "expected", "samples"), rows)
    kinds: dict[str, int] = {}
    for kind in model.parameters.kinds:
        kinds[kind] = kinds.get(kind, 0) + 1
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    line(f"{len(model.parameters)} parameters: {listed}")
    line(f"{int(model.fixed.sum())} fixed; parameter of interest: {model.poi}")


def _model_details(model: HistFactoryModel) -> None:
    """The summary, yields of every sample, and every parameter."""
    model_summary(model)
    title("Samples")
    expected = model.expected_by_sample(model.init).sum(axis=1)
    rows = [(sample, decimals(n)) for sample, n in zip(model.samples, expected, strict=True)]
    table(("sample", "expected"), rows)
    title("Parameters")
    details = [
        (
            p.name,
            p.kind + (" (fixed)" if p.fixed else ""),
            f"{p.init:g}",
            f"[{p.lower:g}, {p.upper:g}]",
            "-" if math.isnan(p.centre) else f"{p.centre:g}",
            "-" if math.isnan(p.width) else f"{p.width:.3g}",
        )
        for p in model.parameters
    ]
    table(("parameter", "kind", "init", "bounds", "centre", "width"), details, left=2)


def _verdict(model: HistFactoryModel, messages: list[str]) -> None:
    """A valid workspace, and what is odd about it."""
    for message in messages:
        line(f"warning: {message}", style="yellow")
    line(f"valid: {model!r}", style="green")
