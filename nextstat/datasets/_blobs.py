"""The toy problem of the neos demonstration."""

from __future__ import annotations

import numpy as np
from sklearn.utils import Bunch, check_random_state

from nextstat._base.arguments import check_integer

_SIGNAL = (-1.0, 1.0)
_BACKGROUND = (1.0, -1.0)
_BACKGROUND_UP = (2.5, 2.0)
_BACKGROUND_DOWN = (-2.5, -1.5)


def make_blobs(
    n_samples: int = 500, *, random_state: int | np.random.RandomState | None = None
) -> Bunch:
    """Make the toy problem of the neos demonstration (arXiv:2203.05570).

    Two features; signal and background are normally distributed with unit covariance, around
    (-1, 1) and (1, -1). One systematic moves the background's mean to (2.5, 2) or (-2.5, -1.5),
    neither of them a shift along the line between signal and background. This is not
    `sklearn.datasets.make_blobs`, whose clusters have no systematics.

    Parameters
    ----------
    n_samples : int
        Events of the signal, and of the background.
    random_state : int, RandomState or None
        Seed; the same one makes the same events. None takes numpy's global generator.

    Returns
    -------
    Bunch
        `signal`, `background`, `background_up`, `background_down` : (n_samples, 2) ndarray
            Features. The variations move each background event: row i is the same event in all
            three, so their difference has no statistical noise.
        `yields` : dict
            Expected events, {"signal": 20.0, "background": 100.0}: each event of the signal
            stands for 20 / n_samples, each of the background for 100 / n_samples.

    Raises
    ------
    TypeError, ValueError
        If `n_samples` is no positive integer, or `random_state` cannot seed a generator.
    """
    n = check_integer(n_samples, "n_samples")
    rng = check_random_state(random_state)
    signal, background = rng.normal(size=(2, n, 2))
    return Bunch(
        signal=signal + _SIGNAL,
        background=background + _BACKGROUND,
        background_up=background + _BACKGROUND_UP,
        background_down=background + _BACKGROUND_DOWN,
        yields={"signal": 20.0, "background": 100.0},
    )
