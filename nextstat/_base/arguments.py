"""Checks of arguments that many functions share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np


def check_integer(value: object, name: str, least: int = 1) -> int:
    """An integer option, if it is one.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is less than `least` or too large to be meant.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}, expected an integer")
    if not least <= value < 2**31:
        expected = f"at least {least}" if value < least else "less than 2**31"
        raise ValueError(f"{name} is {value}, expected {expected}")
    return int(value)


def check_calculator(calculator: object) -> None:
    """Raise ValueError for what is no way to get p-values."""
    if calculator not in ("asymptotics", "toys"):
        raise ValueError(f"calculator is {calculator!r}, expected 'asymptotics' or 'toys'")


def check_level(level: object) -> float:
    """A confidence level, if it is one.

    Raises
    ------
    TypeError, ValueError
        If it is no number between 0 and 1.
    """
    if isinstance(level, bool) or not isinstance(level, int | float | np.number):
        raise TypeError(f"level is {level!r}, expected a number between 0 and 1")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, expected a number between 0 and 1")
    return float(level)


def check_option(value: object, name: str, choices: Iterable[str]) -> None:
    """Raise ValueError unless an option is one of its choices."""
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {choices}")


def check_flag(value: object, name: str) -> bool:
    """Raise TypeError unless an option is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}, expected True or False")
    return bool(value)


def check_positive(value: object, name: str, *, or_zero: bool = False) -> float:
    """A finite number that is positive, or zero where that is allowed.

    Raises
    ------
    TypeError, ValueError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} is {value!r}, expected a number")
    if not (0.0 < value < np.inf or (or_zero and value == 0.0)):
        raise ValueError(f"{name} is {value!r}, expected a number {'>=' if or_zero else '>'} 0")
    return float(value)


def own_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of options that can be read again and again, and that the caller cannot change."""
    return {
        name: deepcopy(list(value) if isinstance(value, Iterator) else value)
        for name, value in options.items()
    }
