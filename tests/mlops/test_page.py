"""The page on tracking shows the snippets that the project began with, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = ROOT.parent / "shared" / "seeds" / "nextstat-mlops-interpretability.txt"
_PROSE = re.compile(r"[A-Z][\w ,&()-]*")  # a heading, which may be valid Python too


def snippets(text: str) -> list[str]:
    """Code in a page of prose: from an import to the last paragraph that can be compiled."""
    found: list[str] = []
    lines = text.split("\n\n")
    for first, paragraph in enumerate(lines):
        if not re.match(r"(import|from) \w", paragraph) or any(paragraph in s for s in found):
            continue
        code = paragraph
        for more in lines[first + 1 :]:
            if _PROSE.fullmatch(more) or not compiles(f"{code}\n\n{more}"):
                break
            code += f"\n\n{more}"
        found.append(code)
    return found


def compiles(code: str) -> bool:
    try:
        compile(code, "snippet", "exec")
    except SyntaxError:
        return False
    return True


def test_snippets_are_on_the_page() -> None:
    if not SEED.is_file():
        pytest.skip(f"no seed document {SEED.name} beside the checkout")
    found = snippets(SEED.read_text(encoding="utf-8"))
    assert [code.partition("\n")[0] for code in found] == [
        "import wandb",
        "import mlflow",
        "from nextstat.interpret import rank_impact, rank_impact_df, plot_rank_impact",
        "from nextstat.torch import signal_jacobian",
        "import optuna, nextstat",
    ]
    assert [code.splitlines()[-1].strip() for code in found] == [
        '# → {"train/z0": 2.31, "train/q0": 5.34, "train/step_time_ms": 48.2}',
        'mlflow.log_param("model_type", "histfactory")',
        'fig.savefig("ranking.png", dpi=150)',
        "# Bins where |∂q₀/∂s_i| ≈ 0 have no impact on the result",
        "study.optimize(objective, n_trials=200)",
    ]
    page = (ROOT / "docs" / "mlops.md").read_text(encoding="utf-8")
    for code in found:
        assert f"```python\n{code}\n```\n" in page
