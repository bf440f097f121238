"""The pyhf JSON workspace, schema 1.0.0, as typed, immutable objects.

The classes are the schema: msgspec decodes JSON into them and rejects whatever does not fit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from nextstat._base.messages import unknown
from nextstat.exceptions import WorkspaceError

Numbers: TypeAlias = Annotated[tuple[float, ...], Meta(min_length=1)]
NonNegative: TypeAlias = Annotated[tuple[Annotated[float, Meta(ge=0)], ...], Meta(min_length=1)]
Factor: TypeAlias = Annotated[float, Meta(gt=0)]


# Nothing in these immutable trees can form a reference cycle: the collector may skip them.
class _Record(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of the schema: immutable, no unknown keys."""


class _Tagged(_Record, frozen=True, tag_field="type", tag=str.lower):
    """Base of the modifiers: the class name in lower case is their `type` in JSON."""


class NormSysData(_Record, frozen=True):
    """Yield factors of a normsys at -1 (`lo`) and +1 (`hi`) standard deviation."""

    lo: Factor
    hi: Factor


class HistoSysData(_Record, frozen=True):
    """Bin yields of a histosys at -1 (`lo_data`) and +1 (`hi_data`) standard deviation."""

    lo_data: Numbers
    hi_data: Numbers


class NormFactor(_Tagged, frozen=True):
    """Free factor on every bin of a sample."""

    name: str
    data: None = None


class NormSys(_Tagged, frozen=True):
    """Constrained factor on every bin of a sample."""

    name: str
    data: NormSysData


class HistoSys(_Tagged, frozen=True):
    """Constrained additive change of the shape of a sample."""

    name: str
    data: HistoSysData


class ShapeSys(_Tagged, frozen=True):
    """Poisson-constrained factor per bin; `data` are absolute uncertainties."""

    name: str
    data: NonNegative


class ShapeFactor(_Tagged, frozen=True):
    """Free factor per bin."""

    name: str
    data: None = None


class StatError(_Tagged, frozen=True):
    """Gaussian-constrained factor per bin, common to the samples; `data` are absolute."""

    name: str
    data: NonNegative


class Lumi(_Tagged, frozen=True):
    """Constrained luminosity factor; its centre and width are in the measurement."""

    name: Literal["lumi"]
    data: None = None


Modifier: TypeAlias = NormFactor | NormSys | HistoSys | ShapeSys | ShapeFactor | StatError | Lumi


class Sample(_Record, frozen=True):
    """Nominal yields `data`, one per bin, of one process in one channel, and its modifiers."""

    name: str
    data: Numbers
    modifiers: tuple[Modifier, ...]


class Channel(_Record, frozen=True):
    """A region: the samples whose sum is expected in its bins."""

    name: str
    samples: Annotated[tuple[Sample, ...], Meta(min_length=1)]


class Observation(_Record, frozen=True):
    """Observed counts, one per bin, of the channel of the same name."""

    name: str
    data: NonNegative


class ParameterConfig(_Record, frozen=True, omit_defaults=True):
    """Settings of one parameter that replace its defaults; None means the default."""

    name: str
    inits: Numbers | None = None
    bounds: Annotated[tuple[tuple[float, float], ...], Meta(min_length=1)] | None = None
    auxdata: Numbers | None = None
    sigmas: NonNegative | None = None
    factors: Numbers | None = None
    fixed: bool | tuple[bool, ...] | None = None


class MeasurementConfig(_Record, frozen=True):
    """Parameter of interest (None or empty: there is none) and parameter settings."""

    poi: str | None
    parameters: tuple[ParameterConfig, ...]


class Measurement(_Record, frozen=True):
    """A named choice of parameter of interest and parameter settings."""

    name: str
    config: MeasurementConfig


class _Operation(Struct, frozen=True, gc=False, tag_field="op", tag=str.lower):
    """Base of the operations of RFC 6902; further keys mean nothing there."""

    path: str


class Add(_Operation, frozen=True):
    """Insert a value, or replace what is there."""

    value: Raw


class Replace(_Operation, frozen=True):
    """Replace a value."""

    value: Raw


class Test(_Operation, frozen=True):
    """Go on only if a value is this one."""

    value: Raw


class Remove(_Operation, frozen=True):
    """Take a value out."""


class Move(_Operation, frozen=True, rename={"from_": "from"}):
    """Take a value from one place to another."""

    from_: str


class Copy(_Operation, frozen=True, rename={"from_": "from"}):
    """Insert a value that stands elsewhere."""

    from_: str


Operation: TypeAlias = Add | Replace | Test | Remove | Move | Copy

_Word: TypeAlias = Annotated[str, Meta(pattern="^[a-zA-Z0-9_]+$")]


class PatchMetadata(Struct, frozen=True, gc=False):
    """What a patch is looked up by: its name, and a value for each label of its set."""

    name: _Word
    values: tuple[int | float | str, ...]


class NamedPatch(_Record, frozen=True):
    """One patch of a patch set."""

    metadata: PatchMetadata
    patch: tuple[Operation, ...]


class References(_Record, frozen=True):
    """Where a patch set is published."""

    hepdata: Annotated[str, Meta(pattern="^ins[0-9]{7}$")]


class Digests(_Record, frozen=True):
    """Digests of the workspace that a patch set is for; at least one of them."""

    md5: Annotated[str, Meta(pattern="^[a-f0-9]{32}$")] | UnsetType = UNSET
    sha256: Annotated[str, Meta(pattern="^[a-fA-F0-9]{64}$")] | UnsetType = UNSET


class PatchSetMetadata(Struct, frozen=True, gc=False):
    """What the patches of a set have in common."""

    references: References
    digests: Digests
    labels: Annotated[tuple[_Word, ...], Meta(min_length=1)]
    description: str


class PatchSetDocument(_Record, frozen=True):
    """A pyhf patch set, schema 1.0.0."""

    metadata: PatchSetMetadata
    patches: Annotated[tuple[NamedPatch, ...], Meta(min_length=1)]
    version: Literal["1.0.0"]


class Workspace(_Record, frozen=True):
    """A HistFactory workspace in the pyhf JSON format, schema 1.0.0.

    Obtain one from `nextstat.workspace.load`, which validates it.

    Attributes
    ----------
    channels : tuple of Channel
        Regions with their samples and modifiers.
    observations : tuple of Observation
        Observed counts, one entry per channel, in any order.
    measurements : tuple of Measurement
        Alternatives; the first is the default.
    version : str
        Always "1.0.0".
    """

    channels: Annotated[tuple[Channel, ...], Meta(min_length=1)]
    observations: Annotated[tuple[Observation, ...], Meta(min_length=1)]
    measurements: Annotated[tuple[Measurement, ...], Meta(min_length=1)]
    version: Literal["1.0.0"]

    def __repr__(self) -> str:
        channels = ", ".join(f"{c.name!r} ({len(c.samples[0].data)})" for c in self.channels)
        measurements = ", ".join(repr(m.name) for m in self.measurements)
        return f"<Workspace: channels (bins) {channels}; measurements {measurements}>"

    def measurement(self, name: str | None = None) -> Measurement:
        """Measurement called `name`; the first one if None.

        Raises
        ------
        WorkspaceError
            If no measurement has that name.
        """
        if name is None:
            return self.measurements[0]
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement
        raise WorkspaceError(
            "$.measurements: "
            + unknown("measurement", str(name), (m.name for m in self.measurements))
        )

    def observation(self, channel_name: str) -> Observation:
        """Observed counts of the channel called `channel_name`.

        Raises
        ------
        WorkspaceError
            If no channel has that name.
        """
        for observation in self.observations:
            if observation.name == channel_name:
                return observation
        raise WorkspaceError(
            "$.observations: "
            + unknown("channel", channel_name, (o.name for o in self.observations))
        )

    def n_keys(self) -> int:
        """Number of keys of all objects in the JSON text.

        A `data` of a modifier is counted even where the text leaves it out.
        """
        samples = [sample for channel in self.channels for sample in channel.samples]
        modifiers = [type(modifier) for sample in samples for modifier in sample.modifiers]
        paired = modifiers.count(NormSys) + modifiers.count(HistoSys)
        settings = [p for m in self.measurements for p in m.config.parameters]
        given = sum(value is not None for p in settings for value in msgspec.structs.astuple(p))
        fixed_part = 4 + 2 * len(self.observations) + 4 * len(self.measurements) + given
        return (
            fixed_part + 2 * len(self.channels) + 3 * (len(samples) + len(modifiers)) + 2 * paired
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and floats, as `json.load` would give them."""
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return document

    def to_json(self) -> str:
        """JSON text that `load` turns into an equal workspace."""
        return msgspec.json.encode(self).decode()


def kind(modifier: Modifier) -> str:
    """Type of a modifier as JSON spells it, "normsys" for example."""
    return str(modifier.__struct_config__.tag)
