"""A second likelihood, in plain NumPy, that shares no line with the package under test.

Written from the HistFactory note (K. Cranmer et al., CERN-OPEN-2012-016). It is evaluated at many
points at once, and at complex ones: the imaginary part of nll(theta + i h e_k) / h is the
derivative, exact to rounding (W. Squire, G. Trapp, SIAM Rev. 40 (1998) 110), so that no formula for
a derivative can be wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Vector = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

STEP = 1e-30  # of complex derivatives
LARGE = 1e4  # counts whose factorials follow Stirling's series to 1e-16


@dataclass
class Term:
    """One sample of one channel, with the positions of its parameters."""

    bins: slice
    nominal: Vector
    shifts: list[tuple[int, Vector, Vector]] = field(default_factory=list)  # histosys
    scales: list[tuple[int, float, float, Vector]] = field(default_factory=list)  # normsys
    factors: list[int] = field(default_factory=list)  # normfactor, lumi
    gammas: list[Array] = field(default_factory=list)  # one position per bin


@dataclass
class Parameter:
    """A parameter with pyhf's defaults; `kind` is its constraint: "", "gaussian" or "poisson"."""

    init: float
    lower: float
    upper: float
    kind: str = ""
    centre: float = np.nan
    width: float = np.nan
    tau: float = np.nan
    fixed: bool = False


class Likelihood:
    """The negative log-likelihood of a workspace.

    Parameters
    ----------
    workspace : mapping
    interpolation : (str, str)
        Of normsys and histosys.
    names : sequence of str, (P,)
        Order of the parameters.

    Attributes
    ----------
    init, lower, upper : (P,) ndarray
    fixed : (P,) bool ndarray
    centre, width : (P,) ndarray
        Of the constraints; NaN for free parameters.
    data : (n_bins + n_aux,) ndarray
        Observed events, then auxiliary measurements in the order of the parameters.

    Raises
    ------
    ValueError
        If `names` are not the parameters of the workspace.
    """

    def __init__(
        self, workspace: Mapping[str, Any], interpolation: Sequence[str], names: Sequence[str]
    ) -> None:
        self.norm_code, self.histo_code = interpolation
        found = _parameters(workspace)
        if set(names) != set(found):
            odd = sorted(set(names) ^ set(found))
            raise ValueError(f"parameters {odd} are on one side only")
        table = [found[name] for name in names]
        self.names = tuple(names)
        self.init, self.lower, self.upper, self.centre, self.width, self.tau = np.array(
            [[p.init, p.lower, p.upper, p.centre, p.width, p.tau] for p in table]
        ).T
        self.fixed = np.array([p.fixed for p in table])
        self.gaussian = np.array([p.kind == "gaussian" for p in table])
        self.poisson = np.array([p.kind == "poisson" for p in table])
        self.constrained = self.gaussian | self.poisson
        self._read_terms(workspace, {name: i for i, name in enumerate(names)})
        aux = np.where(self.poisson, self.tau, self.centre)[self.constrained]
        counts = {o["name"]: o["data"] for o in workspace["observations"]}
        events = [counts[channel] for channel in sorted(counts)]
        self.data: Vector = np.concatenate([*events, aux]).astype(np.float64)

    def _read_terms(self, workspace: Mapping[str, Any], position: Mapping[str, int]) -> None:
        self.terms: list[Term] = []
        first = 0
        for channel in sorted(workspace["channels"], key=lambda channel: channel["name"]):
            n = len(channel["samples"][0]["data"])
            for sample in channel["samples"]:
                term = Term(slice(first, first + n), np.array(sample["data"], dtype=np.float64))
                for modifier in sample["modifiers"]:
                    _add(term, modifier, position)
                self.terms.append(term)
            first += n
        self.n_bins = first

    def expected(self, points: Array) -> Array:
        """Expected events, (N, n_bins), at points, (N, P), real or complex."""
        total = np.zeros((len(points), self.n_bins), dtype=points.dtype)
        for term in self.terms:
            nu = np.broadcast_to(term.nominal, (len(points), len(term.nominal)))
            for k, lo, hi in term.shifts:
                nu = nu + _shift(self.histo_code, points[:, k, None], lo, term.nominal, hi)
            factor = np.ones(len(points), dtype=points.dtype)
            for k in term.factors:
                factor = factor * points[:, k]
            for k, lo, hi, coefficients in term.scales:
                factor = factor * _scale(self.norm_code, points[:, k], lo, hi, coefficients)
            nu = nu * factor[:, None]
            for gammas in term.gammas:
                nu = nu * points[:, gammas]
            total[:, term.bins] += nu
        return total

    def nll(self, points: Array, data: Vector | None = None) -> Array:
        """Negative log-likelihood, (N,), at points, (N, P), real or complex."""
        data = self.data if data is None else data
        n, aux = data[: self.n_bins], data[self.n_bins :]
        result = _poisson(self.expected(points), n)
        gaussian = self.gaussian[self.constrained]
        width = self.width[self.gaussian]
        pull = (aux[gaussian] - points[:, self.gaussian]) / width
        result = result + (0.5 * pull * pull).sum(axis=1)
        result = result + np.log(width * np.sqrt(2.0 * np.pi)).sum()
        rate = self.tau[self.poisson] * points[:, self.poisson]
        return result + _poisson(rate, aux[~gaussian])

    def at(self, point: Vector, data: Vector | None = None) -> float:
        """The same at one point, (P,)."""
        return float(self.nll(np.asarray(point)[None, :], data)[0])

    def saturated(self, data: Vector | None = None) -> float:
        """The nll of a model that expects its data and auxiliary measurements."""
        data = self.data if data is None else data
        aux = data[self.n_bins :]
        counts = np.concatenate([data[: self.n_bins], aux[self.poisson[self.constrained]]])
        widths = self.width[self.gaussian]
        return float(_constant(counts).sum() + np.log(widths * np.sqrt(2.0 * np.pi)).sum())

    def gradient(self, points: Array, data: Vector | None = None) -> Array:
        """Derivatives, (N, P), at real points, (N, P)."""
        return self.value_and_gradient(points, data)[1]

    def value_and_gradient(self, points: Array, data: Vector | None = None) -> tuple[Array, Array]:
        """The nll, (N,), to the rounding of complex numbers, and its derivatives, (N, P)."""
        n, p = points.shape
        shifted = points[:, None, :] + 1j * STEP * np.eye(p)
        with np.errstate(all="ignore"):
            values = self.nll(shifted.reshape(n * p, p), data).reshape(n, p)
        return values[:, 0].real, values.imag / STEP

    def hessian(self, point: Vector, steps: Vector, data: Vector | None = None) -> Array:
        """Second derivatives, (P, P), by central differences of gradients over `steps`, (P,)."""
        moved = np.diag(steps)
        up, down = (self.gradient(point + sign * moved, data) for sign in (1.0, -1.0))
        half = (up - down) / (2.0 * steps[:, None])
        return 0.5 * (half + half.T)


def parameter_names(workspace: Mapping[str, Any]) -> list[str]:
    """Names of the parameters, in the order of their first appearance."""
    return list(_parameters(workspace))


def _parameters(workspace: Mapping[str, Any]) -> dict[str, Parameter]:
    """All parameters by name, as pyhf 0.7.6 names and starts them."""
    found: dict[str, Parameter] = {}
    stat: dict[str, list[tuple[Vector, Vector]]] = defaultdict(list)
    config = workspace["measurements"][0]["config"]
    settings = {p["name"]: p for p in config.get("parameters", ())}
    for channel in workspace["channels"]:
        for sample in channel["samples"]:
            nominal = np.array(sample["data"], dtype=np.float64)
            for modifier in sample["modifiers"]:
                name, kind = modifier["name"], modifier["type"]
                if kind == "normfactor":
                    found[name] = Parameter(1.0, 0.0, 10.0)
                elif kind in ("normsys", "histosys"):
                    found[name] = Parameter(0.0, -5.0, 5.0, "gaussian", 0.0, 1.0)
                elif kind == "lumi":
                    centre, sigma = settings[name]["auxdata"][0], settings[name]["sigmas"][0]
                    found[name] = Parameter(centre, 0.0, 10.0, "gaussian", centre, sigma)
                elif kind == "shapefactor":
                    found |= {
                        f"{name}[{b}]": Parameter(1.0, 0.0, 10.0) for b in range(len(nominal))
                    }
                elif kind == "shapesys":
                    found |= _poisson_gammas(name, nominal, np.array(modifier["data"]))
                elif kind == "staterror":
                    stat[name].append((nominal, np.array(modifier["data"])))
                else:
                    raise ValueError(f"unknown modifier type {kind!r}")
    for name, parts in stat.items():
        found |= _gaussian_gammas(name, parts)
    for name, given in settings.items():
        if name in found:
            for b, pair in enumerate(given.get("bounds", ())[:1]):
                found[name].lower, found[name].upper = pair
                found[name].init = given.get("inits", [found[name].init])[b]
    return found


def _poisson_gammas(name: str, nominal: Vector, sigma: Vector) -> dict[str, Parameter]:
    dead = (nominal <= 0.0) | (sigma <= 0.0)
    tau = np.where(dead, 1.0, nominal / np.where(dead, 1.0, sigma)) ** 2
    return {
        f"{name}[{b}]": Parameter(
            1.0, 1e-10, 10.0, "poisson", 1.0, tau[b] ** -0.5, tau[b], bool(dead[b])
        )
        for b in range(len(nominal))
    }


def _gaussian_gammas(name: str, parts: Sequence[tuple[Vector, Vector]]) -> dict[str, Parameter]:
    """Quadratic sum of the uncertainties over the sum of the yields (HistFactory note, 2.2.1)."""
    nominal = sum(n for n, _ in parts)
    sigma = np.sqrt(sum(s**2 for _, s in parts))
    dead = (nominal <= 0.0) | (sigma <= 0.0)
    width = np.where(dead, 1.0, sigma / np.where(dead, 1.0, nominal))
    return {
        f"{name}[{b}]": Parameter(1.0, 1e-10, 10.0, "gaussian", 1.0, width[b], fixed=bool(dead[b]))
        for b in range(len(nominal))
    }


def _add(term: Term, modifier: Mapping[str, Any], position: Mapping[str, int]) -> None:
    name, kind, data = modifier["name"], modifier["type"], modifier["data"]
    if kind == "histosys":
        term.shifts.append((position[name], np.array(data["lo_data"]), np.array(data["hi_data"])))
    elif kind == "normsys":
        lo, hi = data["lo"], data["hi"]
        term.scales.append((position[name], lo, hi, _smooth_coefficients(lo, hi)))
    elif kind in ("normfactor", "lumi"):
        term.factors.append(position[name])
    else:
        term.gammas.append(np.array([position[f"{name}[{b}]"] for b in range(len(term.nominal))]))


def _shift(code: str, alpha: Array, lo: Vector, nominal: Vector, hi: Vector) -> Array:
    """What a histosys adds (HistFactory note 4.1; code4p as in ROOT)."""
    up, down = hi - nominal, nominal - lo
    side, size = alpha.real >= 0.0, np.abs(alpha.real)
    linear = alpha * np.where(side, up, down)
    if code == "code0":
        return linear
    mean, bend = 0.5 * (up + down), 0.5 * (up - down)
    if code == "code2":
        far = np.where(
            side, (mean + 2 * bend) * (alpha - 1) + up, (mean - 2 * bend) * (alpha + 1) - down
        )
        return np.where(size <= 1.0, bend * alpha**2 + mean * alpha, far)
    near = mean * alpha + bend * (15 * alpha**2 - 10 * alpha**4 + 3 * alpha**6) / 8
    return np.where(size < 1.0, near, linear)


def _scale(code: str, alpha: Array, lo: float, hi: float, coefficients: Vector) -> Array:
    """What a normsys multiplies by."""
    exponent = alpha * np.where(alpha.real >= 0.0, np.log(hi), -np.log(lo))
    power = np.exp(exponent)
    if code == "code1":
        return power
    near = 1.0 + sum(c * alpha ** (k + 1) for k, c in enumerate(coefficients))
    return np.where(np.abs(alpha.real) < 1.0, near, power)


def _smooth_coefficients(lo: float, hi: float) -> Vector:
    """Of code4 between -1 and 1: value, slope and curvature are those of the powers outside."""
    k = np.arange(1, 7)
    rows = [sign**d * np.ones(6) * sign**k * weight
            for sign in (1.0, -1.0)
            for d, weight in enumerate((np.ones(6), k, k * (k - 1)))]  # fmt: skip
    up, down = np.log(hi), np.log(lo)
    values = [hi - 1, hi * up, hi * up**2, lo - 1, -lo * down, lo * down**2]
    found: Vector = np.linalg.solve(np.array(rows), np.array(values))
    return found


def _poisson(nu: Array, n: Vector) -> Array:
    """nu - n ln nu + ln n!, summed over bins: a deviance and what depends on n only.

    An expectation below 0 counts as 0 where n = 0, and is impossible where n > 0.
    """
    filled = n > 0.0
    some = np.where(filled, n, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = np.abs(nu - n) > 0.5 * n
        logs = np.where(far, np.log(np.where(far, nu, 1.0) / some), np.log1p((nu - n) / some))
        excess = (nu - n) - n * logs
    excess = np.where(filled & ~(nu.real > 0.0), np.inf, excess)
    excess = np.where(filled, excess, np.where(nu.real > 0.0, nu, 0.0))
    return excess.sum(axis=1) + _constant(n).sum()


def _constant(n: Vector) -> Vector:
    """n - n ln n + ln n!"""
    large = n > LARGE
    big, small = np.where(large, n, LARGE), np.where(large, 1.0, n)
    logs = np.log(np.where(small > 0.0, small, 1.0))
    stirling = 0.5 * np.log(2.0 * np.pi * big) + 1.0 / (12.0 * big)
    return np.where(large, stirling, small - small * logs + gammaln(small + 1.0))
