"""What a measurement says of the parameters: their settings, and the parameter of interest."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from nextstat._base.messages import show, unknown
from nextstat._base.spelling import Spellings
from nextstat._base.warnings import warn
from nextstat._model.parameters import ParameterSet, ParameterTable
from nextstat.exceptions import WorkspaceError, WorkspaceWarning
from nextstat.workspace._rejection import Path, rejection, render
from nextstat.workspace._schema import Measurement, ParameterConfig, Workspace

_SMALLEST = 1e-100  # constraint widths and rates whose squares stay finite

_WIDTH_KEY = {"lumi": "sigmas", "staterror": "sigmas", "shapesys": "factors"}


def configure(workspace: Workspace, measurement: Measurement, sets: list[ParameterSet]) -> None:
    """Apply a measurement's parameter settings to the defaults, in place.

    Raises
    ------
    WorkspaceError
        If settings do not fit a parameter, or it cannot start or be constrained with them.
    """
    by_name = {s.name: s for s in sets}
    m = workspace.measurements.index(measurement)
    base: Path = ("measurements", m, "config", "parameters")
    configs = measurement.config.parameters
    position = {config.name: i for i, config in enumerate(configs)}
    unused = []
    for i, config in enumerate(configs):
        if config.name in by_name:
            _apply(workspace, (*base, i), config, by_name[config.name])
        else:
            unused.append((i, config.name))
    _warn_of_misspelt_settings(base, unused, by_name.keys() - position.keys())
    for s in sets:
        if s.kind == "lumi" and not (s.auxdata and s.scale):
            raise rejection(
                workspace,
                base,
                "no 'auxdata' and 'sigmas' for the parameter 'lumi', which samples use; expected "
                "for example {'name': 'lumi', 'auxdata': [1.0], 'sigmas': [0.02]}",
            )
        if s.kind == "lumi":
            s.inits = s.inits or list(s.auxdata)
            s.bounds = s.bounds or [(0.0, 10.0 * s.auxdata[0])]
        _check_start(workspace, base, position, s)


def _warn_of_misspelt_settings(
    base: Path, unused: list[tuple[int, str]], without: Set[str]
) -> None:
    """Warn of settings that no parameter has if they look meant for one that is `without`.

    Others are common and harmless: converters write settings of whatever they know, and a
    background-only workspace has those of the signal strength.
    """
    spellings = Spellings(without) if unused else None
    for i, name in unused:
        meant = spellings and spellings.slip(name)
        if meant:
            warn(
                f"{render((*base, i))}: settings for {show(name)}, which no sample uses (did you "
                f"mean {show(meant)}?); they have no effect",
                WorkspaceWarning,
            )


def _apply(workspace: Workspace, path: Path, config: ParameterConfig, s: ParameterSet) -> None:
    n = len(s.fixed)

    def checked(key: str, values: tuple[Any, ...], allowed: bool = True) -> list[Any]:
        if not allowed:
            raise rejection(
                workspace,
                (*path, key),
                f"{show(config.name)} is a {s.kind} parameter and has no '{key}'",
            )
        if len(values) != n:
            raise rejection(
                workspace,
                (*path, key),
                f"found {len(values)} values for {show(config.name)}, expected {n}",
            )
        return list(values)

    if config.inits is not None:
        s.inits = checked("inits", config.inits)
    if config.bounds is not None:
        s.bounds, s.default_bounds = checked("bounds", config.bounds), False
    if config.auxdata is not None:
        s.auxdata = checked("auxdata", config.auxdata, s.constraint != "none")
    if config.sigmas is not None:
        s.scale = checked("sigmas", config.sigmas, _WIDTH_KEY.get(s.kind) == "sigmas")
        s.uncertainty = []
    if config.factors is not None:
        s.scale = checked("factors", config.factors, _WIDTH_KEY.get(s.kind) == "factors")
        s.uncertainty = []
    if config.fixed is not None:
        fixed = (config.fixed,) * n if isinstance(config.fixed, bool) else config.fixed
        s.fixed = checked("fixed", fixed)


def _check_start(
    workspace: Workspace, base: Path, position: dict[str, int], s: ParameterSet
) -> None:
    """Reject bounds that cross, starting values outside them, and impossible constraints."""
    path = (*base, position[s.name]) if s.name in position else base
    for init, (lower, upper) in zip(s.inits, s.bounds, strict=True):
        if not lower <= upper:
            raise rejection(
                workspace,
                (*path, "bounds"),
                f"found [{lower:g}, {upper:g}] for {show(s.name)}, expected lower <= upper",
            )
        if not lower <= init <= upper:
            raise rejection(
                workspace,
                (*path, "inits"),
                f"found {init:g} for {show(s.name)}, expected a value within its bounds "
                f"[{lower:g}, {upper:g}]",
            )
    if s.kind == "lumi" and s.auxdata[0] <= 0:
        raise rejection(workspace, (*path, "auxdata"), f"found {s.auxdata[0]:g}, expected > 0")
    for x in s.auxdata:
        if not abs(x) < 1 / _SMALLEST:
            raise rejection(
                workspace, (*path, "auxdata"), f"found {x:g}, which cannot be computed with"
            )
    for x in s.scale:
        if not _SMALLEST < x < 1 / _SMALLEST:
            raise rejection(
                workspace,
                path,
                f"the uncertainties of {show(s.name)} make a constraint of width {x:g}, which "
                "cannot be computed with",
            )
    if s.constraint == "poisson" and min(s.auxdata) < 0:
        raise rejection(
            workspace, (*path, "auxdata"), f"found {min(s.auxdata):g}, expected values >= 0"
        )
    if s.constraint == "poisson" and min(s.scale) <= 0:
        raise rejection(
            workspace, (*path, "factors"), f"found {min(s.scale):g}, expected values > 0"
        )


def choose_poi(
    workspace: Workspace,
    measurement: Measurement,
    table: ParameterTable,
    asked: str | None,
    *,
    patched: bool,
) -> str | None:
    """The parameter of interest, or None if the workspace holds no signal to scale.

    Parameters
    ----------
    asked : str or None
        The caller's choice, which has to exist; "" for none, None for the measurement's.
    patched : bool
        Whether a patch was applied, which then should have added a signal.

    Raises
    ------
    WorkspaceError
        If the caller's choice is no parameter, or the measurement's has one parameter per bin.
    """
    if asked is not None:
        if asked and asked not in table.names:
            raise WorkspaceError(f"poi: {unknown('parameter', str(asked), table.names)}")
        return asked or None
    poi = measurement.config.poi
    if not poi or poi in table.names:
        return poi or None
    m = workspace.measurements.index(measurement)
    path = f"$.measurements[{m}].config.poi"
    if poi in table.slices:
        raise WorkspaceError(
            f"{path}: found {show(poi)}, which has one parameter per bin; expected a single "
            f"parameter, such as {show(poi + '[0]')}"
        )
    reason = _reason_to_doubt(workspace, poi, table, patched=patched)
    if reason:
        warn(
            f"{path}: no sample carries {show(poi)} ({reason}); the model has no parameter of "
            "interest, unless poi= chooses one",
            WorkspaceWarning,
        )
    return None


def _reason_to_doubt(
    workspace: Workspace, poi: str, table: ParameterTable, *, patched: bool
) -> str | None:
    """Why a workspace is perhaps not meant to be without its parameter of interest."""
    factors = [name for name, s in table.slices.items() if table.kinds[s.start] == "normfactor"]
    meant = Spellings(factors).slip(poi)
    if meant:
        return f"did you mean {show(meant)}?"
    if patched:
        return "the patch has added no signal"
    samples = (sample.name for channel in workspace.channels for sample in channel.samples)
    signal = next((name for name in samples if name.lower() in ("signal", "sig")), None)
    return f"there is a sample {show(signal)}" if signal else None
