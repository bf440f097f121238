"""The scripts of docs/tuning can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "docs" / "tuning"

sys.path.insert(0, str(SCRIPTS))
