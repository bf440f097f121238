"""Names of metrics that MLflow takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from nextstat.mlops._numbers import number

_LONGEST = 250  # characters, MLflow's MAX_ENTITY_KEY_LENGTH
_DIGEST = 16  # characters of a hash that tells names apart which are cut

_INDEX = re.compile(r"\[([0-9]+)\]\Z")
# What is spelt in hexadecimal. The last two alternatives are what looks spelt already.
_SPELT = re.compile(
    r"""
    [^/\w.\- ]                             # rejected, the colon on Windows only
    | \A/ | /(?=/|\Z)                      # would vanish from a path
    | \A\.(?=\.) | (?<![^/])\.{1,2}(?![^/])  # would lead elsewhere
    | -(?=x[0-9a-f]+[^\w ])
    | \.(?=bin[0-9]+\Z)
    """,
    re.VERBOSE,
)


def mlflow_names(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics under names that MLflow takes, on every platform and in every database.

    MLflow refuses names with anything but letters, digits, spaces and ``_ - . /`` (colons on
    Windows only), those that would be another path, such as ``a/../b``, and those of more than
    250 characters. In these, the bin of a parameter is written ``.bin0`` instead of ``[0]``, every
    other character that is refused as its code: ``-x2b-`` for ``+``. Names that are too long are
    cut, and end in a hash of the whole. Other names stay as they are, unless they look like the
    result: ``my.bin0`` becomes ``my-x2e-bin0``, so apply it once.

    A name becomes the same whatever else is logged, and no two become one. The way back is
    ``dict(zip(mlflow_names(metrics), metrics))``.

    Parameters
    ----------
    metrics : mapping of str to float
        Such as `metrics_dict` gives. Numbers of any kind, also in arrays and tensors.

    Returns
    -------
    dict of str to float
        In the same order.

    Raises
    ------
    TypeError
        If it is no mapping, a name is no string, or a value no number.
    ValueError
        If a name is empty, or a long name was cut before and stands beside what it was cut from.
    """
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"metrics is a {type(metrics).__name__}, expected a mapping of names to numbers, such "
            "as metrics_dict gives"
        )
    taken: dict[str, str] = {}
    for name in metrics:
        first = taken.setdefault(_allowed(name), name)
        if first != name:
            raise ValueError(f"{first!r} and {name!r} would become one: give one another name")
    values = (number(value, f"metrics[{name!r}]") for name, value in metrics.items())
    return dict(zip(taken, values, strict=True))


def _allowed(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a metric has the name {name!r}, expected a string")
    if not name:
        raise ValueError("a metric has an empty name, which MLflow does not take")
    index = _INDEX.search(name)
    stem = name[: index.start()] if index else name
    # What a slash or a dot at the end of the stem is followed by counts, so the index stays.
    spelt = _SPELT.sub(_spell, stem + (".bin" if index else ""))
    spelt += index[1] if index else ""
    if len(spelt) <= _LONGEST:
        return spelt
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{spelt[: _LONGEST - _DIGEST - 1]}-{digest}"


def _spell(match: re.Match[str]) -> str:
    return "".join(f"-x{ord(character):x}-" for character in match[0])
