"""Kinds of trouble that random models are made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Family:
    """How to draw a model.

    Attributes
    ----------
    yields : (float, float)
        Decades of the events per bin of a background.
    channels, bins, samples : (int, int)
        Fewest and most; samples are backgrounds.
    norm : mapping of str to float
        Kinds of normsys and the number of each that a sample has on average: "mild",
        "asymmetric", "huge", "equal" (lo = hi), "one_side" (both above 1, or below).
    shape : mapping of str to float
        The same of histosys: "mild", "folded" (both to one side), "equal", "fills" (an empty bin).
    free, stat, gammas, lumi, factor : float
        Probabilities of a free normalisation and a shapesys per background; of a staterror and a
        shapefactor per channel; of lumi.
    trade : bool
        Whether free normalisations have nearly the same shape.
    signal : str
        "usual", or "odd": zero, tiny, or negative in some bins.
    tension : (float, float)
        Standard deviations by which the truth of the data is off, fewest and most.
    distortion : float
        By how many standard deviations of its Poisson law a bin is distorted on top.
    relative : float
        The same in units of the expectation, for models whose data are nowhere near.
    """

    yields: tuple[float, float] = (0.5, 3.5)
    channels: tuple[int, int] = (1, 3)
    bins: tuple[int, int] = (1, 6)
    samples: tuple[int, int] = (1, 3)
    norm: dict[str, float] = field(default_factory=lambda: {"mild": 0.8})
    shape: dict[str, float] = field(default_factory=lambda: {"mild": 0.8})
    free: float = 0.1
    stat: float = 0.4
    gammas: float = 0.05
    lumi: float = 0.1
    factor: float = 0.0
    trade: bool = False
    signal: str = "usual"
    tension: tuple[float, float] = (1.0, 3.0)
    distortion: float = 2.0
    relative: float = 0.0


USUAL = Family()
LARGE = Family(
    yields=(3.5, 7.8),
    channels=(1, 2),
    bins=(1, 3),
    norm={"mild": 1.0, "asymmetric": 1.5},
    shape={"mild": 1.5},
    free=0.3,
    tension=(2.0, 4.0),
    distortion=5.0,
)
FAMILIES: dict[str, Family] = {
    "usual": USUAL,
    "asymmetric normsys": replace(
        USUAL, yields=(1.0, 4.0), norm={"asymmetric": 2.0}, tension=(2.0, 4.0)
    ),
    "huge normsys": replace(
        USUAL, yields=(-0.3, 1.5), norm={"huge": 0.8, "mild": 0.5}, bins=(1, 3)
    ),
    "up = down": replace(
        USUAL, norm={"equal": 0.7, "mild": 0.4}, shape={"equal": 0.7, "mild": 0.4}
    ),
    "one-sided normsys": replace(USUAL, norm={"one_side": 1.2}, tension=(2.0, 4.0)),
    "folded histosys": replace(USUAL, yields=(1.0, 4.5), shape={"folded": 1.5, "mild": 0.5}),
    "empty bins filled": replace(
        USUAL, yields=(0.0, 2.0), shape={"fills": 1.0, "mild": 0.5}, bins=(2, 6), stat=0.3
    ),
    "trading normalisations": replace(
        USUAL, free=0.8, trade=True, samples=(2, 3), yields=(0.5, 5.0), tension=(2.0, 4.0)
    ),
    "large yields": LARGE,
    "large, far off": replace(LARGE, relative=0.15, yields=(3.5, 7.8)),
    "wide staterrors": replace(USUAL, stat=1.0, yields=(0.5, 5.0), tension=(2.0, 4.0)),
    "free bins": replace(USUAL, gammas=0.4, lumi=0.6, factor=0.5, channels=(2, 3)),
    "few events": replace(USUAL, yields=(-0.3, 0.7), samples=(1, 2)),
    "odd signal": replace(USUAL, signal="odd", yields=(0.0, 4.0)),
    "shared names": replace(
        LARGE, yields=(2.0, 5.0), channels=(1, 3), norm={"asymmetric": 2.0}, shape={"mild": 2.0}
    ),
    "everything": Family(
        yields=(-0.3, 5.0),
        norm={"mild": 0.3, "asymmetric": 0.4, "huge": 0.1, "equal": 0.2, "one_side": 0.2},
        shape={"mild": 0.3, "folded": 0.3, "equal": 0.2, "fills": 0.1},
        free=0.3,
        stat=0.6,
        gammas=0.1,
        lumi=0.2,
        factor=0.1,
        signal="odd",
        tension=(2.0, 4.0),
        distortion=3.0,
    ),
}
