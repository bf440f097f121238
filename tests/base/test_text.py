"""Names and levels as people see them: on terminals, in notebooks, in figures."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nextstat
from nextstat import interpret, plot
from nextstat._base.text import percent, printable, printable_list

NAMES = ["mu\x1b[31m$a$", "two\nlines\\$x^2$ \u202e", r"$\frac{", "_under$"]


@given(st.text())
def test_printable(text: str) -> None:
    """Nothing but what is seen and spaces; what is seen stays as it is."""
    found = printable(text)
    assert all(c.isprintable() or c.isspace() for c in found)
    assert not set(found) & set("\n\r\t\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029\x1b\x9b\u202e")
    assert printable(found) == found
    if text.isprintable():
        assert found == text
    found.encode()  # no half of a pair is left


def test_escapes_are_those_of_repr() -> None:
    for text in ("\x1b[31m", "a\nb", "\u202e", "\ud83d", "\x7f", "\x9b"):
        assert printable(text) == repr(text)[1:-1]
    for text in ("a b", "a\u00a0b", "a\u3000b", "μ → ∞", "e\u0301", "漢字", "👍🏽"):
        assert printable(text) == text


def test_lists() -> None:
    assert printable_list(["a", "b\n", "\x1b[2J"]) == r"a, b\n, \x1b[2J"


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (0.95, "95 %"),
        (0.6826894921370859, "68.3 %"),
        (0.9544997361036416, "95.4 %"),
        (0.9973002039367398, "99.7 %"),
        (0.9999366575163338, "99.99 %"),
        (0.99949, "99.9 %"),
        (0.999999999999, "99.9999999999 %"),
        (1.0 - 2.0**-53, "99.99999999999999 %"),
        (1.0, "100 %"),
        (0.05, "5 %"),
        (0.0, "0 %"),
    ],
)
def test_percent(level: float, text: str) -> None:
    assert percent(level) == text


@pytest.fixture(scope="module")
def model() -> nextstat.HistFactoryModel:
    """Names that are formulas, sequences, or several lines."""
    poi, sample, systematic, channel = NAMES
    modifiers: list[dict[str, Any]] = [
        {"name": systematic, "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    ]
    mu = {"name": poi, "type": "normfactor", "data": None}
    return nextstat.from_pyhf(
        {
            "channels": [
                {
                    "name": channel,
                    "samples": [
                        {"name": "s", "data": [5.0, 9.0], "modifiers": [mu]},
                        {"name": sample, "data": [50.0, 40.0], "modifiers": modifiers},
                    ],
                }
            ],
            "observations": [{"name": channel, "data": [57.0, 51.0]}],
            "measurements": [{"name": "m", "config": {"poi": poi, "parameters": []}}],
            "version": "1.0.0",
        }
    )


def test_results(model: nextstat.HistFactoryModel) -> None:
    """In terminals and notebooks."""
    result = nextstat.fit(model)
    for text in (repr(result), repr(model), repr(model.parameters), result._repr_html_()):
        assert "\x1b" not in text
    assert repr(result).startswith(r"FitResult(mu\x1b[31m$a$=")
    assert r"mu\x1b[31m$a$" in result._repr_html_()


def test_figures(model: nextstat.HistFactoryModel) -> None:
    """Names are neither formulas nor lines, and matplotlib has a glyph for each character."""
    poi, _, systematic, channel = NAMES
    result = nextstat.fit(model)
    limit = nextstat.upper_limit(model, 0.99999)
    found = nextstat.scan(model, poi, [0.5, 1.0, 1.5])
    figures = [
        plot.yields(nextstat.yields(model, result), channel),
        plot.pulls(interpret.pulls(result)),
        plot.correlation(interpret.correlation_df(result)),
        plot.scan(found),
        plot.cls_scan(nextstat.cls_scan(model, [0.5, 1.0, 1.5])),
        plot.contour(nextstat.contour(result, poi, systematic, n_points=4)),
        plot.ranking(interpret.rank_impact(model), poi=poi),
        plot.limits([1.0, 2.0], [limit, limit], poi=poi),
    ]
    texts = []
    for figure in figures:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.canvas.draw()
        texts += [
            text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
        ]
    assert not any("\x1b" in text or "\u202e" in text for text in texts)
    assert any(r"mu\x1b[31m" in text for text in texts)
    assert any("two\\nlines" in text for text in texts)
    assert any("99.999 % CL upper limit" in text for text in texts)
