"""What a workspace that fits the schema must still satisfy for a model to be made of it.

Workspaces hold 10,000 modifiers and are checked on every load: the loops over modifiers do only
what finds that something is wrong; what and where is worked out afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter, mul
from typing import Any

from nextstat._base.messages import show, suggestion
from nextstat._base.spelling import canonical
from nextstat.workspace._rejection import Path, names_on, rejection, render
from nextstat.workspace._schema import (
    Channel,
    HistoSys,
    Lumi,
    Measurement,
    Modifier,
    NormFactor,
    NormSys,
    Sample,
    ShapeFactor,
    ShapeSys,
    StatError,
    Workspace,
    kind,
)

_MAY_SHARE_A_NAME: set[type[Modifier]] = {NormSys, HistoSys}
_PER_BIN: set[type[Modifier]] = {ShapeSys, ShapeFactor}
_name_of = attrgetter("name")


def check(workspace: Workspace) -> None:
    """Reject a workspace that contradicts itself.

    Raises
    ------
    WorkspaceError
        Duplicate names, channels and observations that do not pair up, arrays of different
        lengths, modifiers that may not share a name, impossible yields.
    """
    _check_names(workspace, ("channels",), workspace.channels)
    _check_names(workspace, ("observations",), workspace.observations)
    _check_names(workspace, ("measurements",), workspace.measurements)
    for i, measurement in enumerate(workspace.measurements):
        _check_parameters(workspace, ("measurements", i, "config", "parameters"), measurement)
    counts = _paired_counts(workspace)
    uses: set[tuple[str, type[Modifier]]] = set()
    for i, channel in enumerate(workspace.channels):
        path = ("channels", i, "samples")
        _check_names(workspace, path, channel.samples)
        n_bins = len(channel.samples[0].data)
        for j, sample in enumerate(channel.samples):
            uses |= _check_sample(workspace, (*path, j), sample, n_bins)
        _check_yields(workspace, path, channel, counts[channel.name])
    _check_sharing(workspace, uses)
    used = set(map(itemgetter(0), uses))
    for i, measurement in enumerate(workspace.measurements):
        _check_widths(workspace, ("measurements", i, "config", "parameters"), measurement, used)
    _check_twins(workspace, used)


def _check_names(workspace: Workspace, path: Path, items: Sequence[Any]) -> None:
    first: dict[str, int] = {}
    for i, item in enumerate(items):
        if item.name in first:
            there = render((*path, first[item.name]))
            message = f"duplicate name {show(item.name)}, already used at {there}"
            raise rejection(workspace, (*path, i, "name"), message)
        first[item.name] = i


def _check_parameters(workspace: Workspace, path: Path, measurement: Measurement) -> None:
    _check_names(workspace, path, measurement.config.parameters)
    for i, parameter in enumerate(measurement.config.parameters):
        for j, (lower, upper) in enumerate(parameter.bounds or ()):
            if lower > upper:
                message = f"found lower bound {lower:g} above upper bound {upper:g}"
                raise rejection(workspace, (*path, i, "bounds", j), message)


def _check_widths(
    workspace: Workspace, path: Path, measurement: Measurement, used: set[str]
) -> None:
    """Reject constraints of no width on parameters in use; converters write others."""
    for i, parameter in enumerate(measurement.config.parameters):
        for j, sigma in enumerate(parameter.sigmas or ()):
            if sigma == 0.0 and parameter.name in used:
                message = (
                    "found 0, expected a number > 0 since samples use the parameter; to hold it, "
                    "write 'fixed': true beside any positive width"
                )
                raise rejection(workspace, (*path, i, "sigmas", j), message)


def _check_twins(workspace: Workspace, used: set[str]) -> None:
    """Reject names that look the same and are not, for they would make two of one thing."""
    configs = [measurement.config for measurement in workspace.measurements]
    settings = [parameter.name for config in configs for parameter in config.parameters]
    channels = [channel.name for channel in workspace.channels]
    samples = {sample.name for channel in workspace.channels for sample in channel.samples}
    groups: list[tuple[str, str, Iterable[str]]] = [
        ("channels", "channels", [*channels, *(o.name for o in workspace.observations)]),
        ("channels", "samples", samples),
        ("channels", "parameters", {*used, *settings, *(c.poi for c in configs if c.poi)}),
        ("measurements", "measurements", [m.name for m in workspace.measurements]),
    ]
    for key, what, names in groups:
        first: dict[str, str] = {}
        for name in () if all(map(str.isascii, names)) else sorted(names):
            twin = first.setdefault(canonical(name), name)
            if twin != name:
                one, other, best = (text[:200] for text in (twin, name, canonical(name)))
                message = (
                    f"names of {what} that look the same are spelt in two ways, {one!a} and "
                    f"{other!a}; expected one of them throughout, best {best!a}"
                )
                raise rejection(workspace, (key,), message)


def _paired_counts(workspace: Workspace) -> dict[str, tuple[float, ...]]:
    """Observed counts by channel name."""
    counts = {observation.name: observation.data for observation in workspace.observations}
    n_bins = {channel.name: len(channel.samples[0].data) for channel in workspace.channels}
    for i, name in enumerate(n_bins):
        if name not in counts:
            message = f"channel {show(name)} has no observation{suggestion(name, counts)}"
            raise rejection(workspace, ("channels", i, "name"), message)
    for i, (name, data) in enumerate(counts.items()):
        if name in n_bins:
            _check_length(workspace, ("observations", i, "data"), data, n_bins[name])
    return counts


def _check_length(workspace: Workspace, path: Path, data: Sequence[float], n_bins: int) -> None:
    if len(data) != n_bins:
        message = f"found {len(data)} bins, expected {n_bins} as in the channel's first sample"
        raise rejection(workspace, path, message)


def _check_sample(
    workspace: Workspace, path: Path, sample: Sample, n_bins: int
) -> set[tuple[str, type[Modifier]]]:
    """Check lengths and duplicates; give the (name, type) pairs of the modifiers."""
    _check_length(workspace, (*path, "data"), sample.data, n_bins)
    modifiers = sample.modifiers
    for modifier in modifiers:
        if type(modifier) is HistoSys:
            data = modifier.data
            if len(data.lo_data) != n_bins or len(data.hi_data) != n_bins:
                within = (*path, "modifiers", modifiers.index(modifier), "data")
                _check_length(workspace, (*within, "lo_data"), data.lo_data, n_bins)
                _check_length(workspace, (*within, "hi_data"), data.hi_data, n_bins)
        elif (type(modifier) is StatError or type(modifier) is ShapeSys) and (
            len(modifier.data) != n_bins
        ):
            within = (*path, "modifiers", modifiers.index(modifier), "data")
            _check_length(workspace, within, modifier.data, n_bins)
    pairs = set(zip(map(_name_of, modifiers), map(type, modifiers), strict=True))
    if len(pairs) < len(modifiers):
        for k, modifier in enumerate(modifiers):
            pair = (modifier.name, type(modifier))
            if pair not in pairs:
                message = f"duplicate {kind(modifier)} {show(modifier.name)} in one sample"
                raise rejection(workspace, (*path, "modifiers", k), message)
            pairs.remove(pair)
    return pairs


def _check_yields(
    workspace: Workspace, path: Path, channel: Channel, counts: tuple[float, ...]
) -> None:
    """Reject bins with events in which none can be expected, or fewer than none at the start."""
    nominal = list(zip(*(sample.data for sample in channel.samples), strict=True))
    bins = [b for b, count in enumerate(counts) if count > 0 and sum(nominal[b]) <= 0.0]
    if not bins:
        return
    added = [
        modifier.data
        for sample in channel.samples
        for modifier in sample.modifiers
        if isinstance(modifier, HistoSys)
    ]
    starts = [_start_factors(measurement, channel) for measurement in workspace.measurements]
    for b in bins:
        yields, observed = nominal[b], f"{counts[b]:g}"
        if not any(yields) and not any(data.lo_data[b] or data.hi_data[b] for data in added):
            message = (
                f"zero expected events in bin {b} of channel {show(channel.name)} "
                f"where {observed} were observed"
            )
            raise rejection(workspace, path, message)
        if sum(yields) < 0 and all(
            factors and sum(map(mul, factors, yields)) < 0.0 for factors in starts
        ):
            message = (
                f"nominal yields of bin {b} add up to {sum(yields):g}, expected a sum >= 0 at the "
                "starting values of the parameters, which 'inits' in a measurement's parameters "
                f"can change, since {observed} events were observed there"
            )
            raise rejection(workspace, path, message)


def _start_factors(measurement: Measurement, channel: Channel) -> list[float] | None:
    """Factor of each sample at the starting values; None where it would have to be worked out."""
    starts = {
        parameter.name: parameter.inits or (parameter.name == "lumi" and parameter.auxdata)
        for parameter in measurement.config.parameters
    }
    factors = [1.0] * len(channel.samples)
    for i, sample in enumerate(channel.samples):
        for modifier in sample.modifiers:
            start = starts.get(modifier.name)
            if start and not isinstance(modifier, NormFactor | Lumi):
                return None
            factors[i] *= start[0] if start else 1.0
    return factors


def _check_sharing(workspace: Workspace, uses: set[tuple[str, type[Modifier]]]) -> None:
    """Reject modifiers that share a name, hence a parameter, but cannot share a parameter."""
    types: dict[str, set[type[Modifier]]] = defaultdict(set)
    for name, type_ in uses:
        types[name].add(type_)
    suspects = {
        name
        for name, found in types.items()
        if (len(found) > 1 and found != _MAY_SHARE_A_NAME) or found & _PER_BIN
    }
    if not suspects:
        return
    first: dict[str, tuple[Path, Modifier, int]] = {}
    for i, channel in enumerate(workspace.channels):
        for j, sample in enumerate(channel.samples):
            if suspects.isdisjoint(map(_name_of, sample.modifiers)):
                continue
            for k, modifier in enumerate(sample.modifiers):
                if modifier.name in suspects:
                    path = ("channels", i, "samples", j, "modifiers", k)
                    use = (path, modifier, len(sample.data))
                    earlier = first.setdefault(modifier.name, use)
                    if earlier is not use and (problem := _conflict(earlier[1:], use[1:])):
                        there = f"{render(earlier[0])} [{names_on(earlier[0], workspace)}]"
                        raise rejection(workspace, path, f"{problem} {there}")


def _conflict(earlier: tuple[Modifier, int], use: tuple[Modifier, int]) -> str | None:
    """Why two modifiers, each with its number of bins, cannot share a parameter."""
    (one, n_one), (two, n_two) = earlier, use
    if type(one) is not type(two) and {type(one), type(two)} != _MAY_SHARE_A_NAME:
        return f"{kind(two)} {show(two.name)} cannot share its name with the {kind(one)} at"
    if isinstance(two, ShapeSys):
        return f"shapesys {show(two.name)} must belong to one sample, but is also at"
    if isinstance(two, ShapeFactor) and n_one != n_two:
        return f"shapefactor {show(two.name)} has {n_two} bins here, but {n_one} at"
    return None
