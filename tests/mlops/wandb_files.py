"""What a run of W&B wrote to disk, which is what it would send."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

_BLOCK = 32768  # bytes; the format is that of LevelDB's log, after a header of the file
_FILE_HEADER = 7
_HEADER = struct.Struct("<IHB")  # checksum, length, type
_WHOLE, _LAST = 1, 4


def records(folder: Path) -> Iterator[Record]:
    """Everything the only run below a folder recorded."""
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    data = path.read_bytes()
    position, parts = _FILE_HEADER, b""
    while position < len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER.size:
            position += left
            continue
        _, length, kind = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        parts += data[position : position + length]
        position += length
        if kind in (_WHOLE, _LAST):
            yield Record.FromString(parts)
            parts = b""


def history(folder: Path) -> list[dict[str, Any]]:
    """What was logged, step by step."""
    return [
        {".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(folder)
        if record.WhichOneof("record_type") == "history"
    ]


def config(folder: Path) -> dict[str, Any]:
    """The configuration of the run."""
    found: dict[str, Any] = {}
    for record in records(folder):
        for update in [*record.run.config.update, *record.config.update]:
            found[update.key or ".".join(update.nested_key)] = json.loads(update.value_json)
    return found
