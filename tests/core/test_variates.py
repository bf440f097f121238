"""Random numbers of toys: the generator, and variates against their exact laws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from channels import normfactor, one_channel
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import nextstat
from nextstat import HistFactoryModel, _core
from nextstat._base.arrays import Vector

# Uniform numbers ----------------------------------------------------------------------------------


def philox(seed: int, counter: list[int]) -> list[int]:
    """Philox4x32-10 as published (Salmon et al., SC'11), in integers of any size."""
    key = [seed & 0xFFFFFFFF, seed >> 32]
    c = list(counter)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ key[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ key[1], a & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def pair(block: list[int]) -> list[float]:
    """The upper 52 bits of each half of a block, as the middle of an interval."""
    halves = block[0] | block[1] << 32, block[2] | block[3] << 32
    return [((half >> 12) + 0.5) * 2.0**-52 for half in halves]


def test_known_answers() -> None:
    """The three vectors of the authors' own test; the first of them from the core."""
    assert philox(0, [0, 0, 0, 0]) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = [0xFFFFFFFF] * 4
    assert philox(2**64 - 1, ones) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    key = 0xA4093822 | 0x299F31D0 << 32
    assert philox(key, pi) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]
    assert _core.toy_uniforms(0, 0, 0, 0, 1).tolist() == [pair(philox(0, [0, 0, 0, 0]))]


@given(
    seed=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**24 - 1),
    toy=st.integers(0, 2**40 - 1),
    datum=st.integers(0, 2**32 - 1),
)
def test_numbers_of_a_datum(seed: int, stream: int, toy: int, datum: int) -> None:
    last = stream | toy >> 32 << 24
    counters = [[k, datum, toy & 0xFFFFFFFF, last] for k in range(3)]
    expected = [pair(philox(seed, counter)) for counter in counters]
    found = _core.toy_uniforms(seed, stream, toy, datum, 3)
    assert found.tolist() == expected
    assert 0.0 < found.min() <= found.max() < 1.0


@pytest.mark.parametrize(
    ("stream", "toys", "message"),
    [
        (2**24, (0, 1), "stream is 16777216"),
        (0, (-1, 1), r"toys are \(-1, 1\)"),
        (0, (0, -1), r"toys are \(0, -1\)"),
        (0, (2**40, 1), "from 0 to 2\\^40"),
        (0, (2**40 - 1, 2), "from 0 to 2\\^40"),
    ],
)
def test_numbers_that_would_repeat(stream: int, toys: tuple[int, int], message: str) -> None:
    model = thrown_at([1.0])
    with pytest.raises(ValueError, match=message):
        _core.toy_data(model._core, model.init, 1, stream, toys)
    assert _core.toy_data(model._core, model.init, 1, 2**24 - 1, (2**40 - 1, 1)).shape == (1, 1)


# Laws ---------------------------------------------------------------------------------------------

# Where the algorithm changes, and between; whole numbers and others.
MEANS = [1e-3, 0.7, 3.0, 9.999, 10.0, 10.6, 17.0, 42.5, 300.25, 1e4, 1e6 + 0.5, 1e9, 1e12, 1e15]
BATCHES, PER_BATCH = 32, 500_000


def thrown_at(means: list[float]) -> HistFactoryModel:
    """A bin of each mean, nothing uncertain."""
    samples = [{"name": "signal", "data": means, "modifiers": [normfactor("mu")]}]
    return nextstat.from_pyhf(one_channel(samples, means))


def batches(means: list[float]) -> Iterator[Vector]:
    model = thrown_at(means)
    for k in range(BATCHES):
        yield nextstat.toy_data(model, PER_BATCH, params=model.init, seed=100 + k)


def test_poisson_counts_follow_the_exact_law() -> None:
    """Chi-square in bins of equal probability, and mean and variance to 1e-3 of their size.

    The distribution functions are scipy's; where it loses digits, at the largest means, the normal
    law with the skewness of the Poisson one is exact to 1e-9.
    """
    n = BATCHES * PER_BATCH
    laws, edges, counts = [], [], []
    for mean in MEANS:
        quantile = stats.poisson.ppf(np.linspace(0.0, 1.0, 25)[1:-1], mean)
        cuts = np.unique(np.concatenate([quantile, [0.0, 1.0, 2.0] if mean < 1.0 else []]))
        edges.append(cuts)  # a bin holds what is at most its own
        laws.append(np.diff(np.concatenate([[0.0], cumulative(cuts, mean), [1.0]])))
        counts.append(np.zeros(len(cuts) + 1))
    moments = np.zeros((2, len(MEANS)))
    for toys in batches(MEANS):
        assert toys.min() >= 0.0
        assert np.array_equal(toys, np.floor(toys))
        for k in range(len(MEANS)):
            bins = np.searchsorted(edges[k], toys[:, k])
            counts[k] += np.bincount(bins, minlength=len(counts[k]))
        pulls = (toys - MEANS) / np.sqrt(MEANS)
        moments += pulls.sum(axis=0), (pulls**2).sum(axis=0)
    for mean, law, count, first, second in zip(MEANS, laws, counts, *moments, strict=True):
        seen = n * law > 5.0
        chi2 = ((count - n * law)[seen] ** 2 / (n * law[seen])).sum()
        assert stats.chi2.sf(chi2, seen.sum() - 1) > 1e-4, mean
        assert abs(first / n) < 4.0 / np.sqrt(n), mean
        assert abs(second / n - 1.0) < 4.0 * np.sqrt((2.0 + 1.0 / mean) / n), mean
    assert 4.0 / np.sqrt(n) <= 1e-3


def cumulative(k: Vector, mean: float) -> Vector:
    """P(n <= k) of the Poisson law."""
    if mean < 1e8:
        return stats.poisson.cdf(k, mean)
    z = (k + 0.5 - mean) / np.sqrt(mean)
    skewed: Vector = special.ndtr(z) - (z**2 - 1.0) / (6.0 * np.sqrt(mean)) * stats.norm.pdf(z)
    return skewed


def test_small_means_are_quantiles() -> None:
    """Below 10 the count is the quantile of the first uniform number of its datum."""
    means = [1e-300, 1e-9, 1e-3, 0.5, 2.0, 5.5, 9.99]
    toys = nextstat.toy_data(thrown_at(means), 4000, params=[1.0], seed=7)
    for k, mean in enumerate(means):
        uniform = [_core.toy_uniforms(7, 0, toy, k, 1)[0, 0] for toy in range(4000)]
        assert np.array_equal(toys[:, k], stats.poisson.ppf(uniform, mean))


@pytest.mark.parametrize("mean", [2.0**53, 9.3e18, 1e25, 1e120, 1e300, 1.7e308])
def test_huge_means(mean: float) -> None:
    """Finite, spread by their square root, as far as a double can say."""
    toys = nextstat.toy_data(thrown_at([mean]), 4000, params=[1.0], seed=3)[:, 0]
    assert np.isfinite(toys).all()
    pulls = (toys - mean) / np.sqrt(mean)
    if np.spacing(mean) < 0.01 * np.sqrt(mean):
        assert stats.kstest(pulls, stats.norm.cdf).pvalue > 1e-3
    else:
        assert np.abs(pulls).max() <= 6.0 + np.spacing(mean) / np.sqrt(mean)


def test_both_algorithms_meet_at_the_last_exact_count() -> None:
    below, above = (
        nextstat.toy_data(thrown_at([mean]), 20_000, params=[1.0], seed=5)[:, 0] - 2.0**53
        for mean in (np.nextafter(2.0**53, 0.0), 2.0**53)
    )
    assert stats.ks_2samp(below, above).pvalue > 1e-3
    assert below.std() == pytest.approx(2.0**26.5, rel=0.02)


def test_normal_numbers_are_quantiles() -> None:
    scale = {"name": "scale", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    samples = [{"name": "signal", "data": [5.0], "modifiers": [normfactor("mu"), scale]}]
    model = nextstat.from_pyhf(one_channel(samples, [5.0]))
    toys = nextstat.toy_data(model, 20_000, params=model.init, seed=2)[:, 1]
    uniform = [_core.toy_uniforms(2, 0, toy, 1, 1)[0, 0] for toy in range(20_000)]
    np.testing.assert_allclose(toys, special.ndtri(uniform), rtol=2e-15, atol=1e-15)
    many = nextstat.toy_data(model, 2_000_000, params=model.init, seed=3)[:, 1]
    assert abs(many.mean()) < 4.0 / np.sqrt(len(many))
    assert abs(many.var() - 1.0) < 4.0 * np.sqrt(2.0 / len(many))
    assert stats.kstest(many, stats.norm.cdf).pvalue > 1e-4


def poisson_and_normal() -> HistFactoryModel:
    """Bins from rare to plentiful, a Gaussian constraint and Poisson ones."""
    modifiers = [
        {"name": "scale", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}},
        {"name": "rates", "type": "shapesys", "data": [0.1, 1.0, 5.0, 1e3]},
    ]
    samples = [
        {"name": "signal", "data": [0.0] * 4, "modifiers": [normfactor("mu")]},
        {"name": "background", "data": [0.3, 4.0, 30.0, 1e5], "modifiers": modifiers},
    ]
    return nextstat.from_pyhf(one_channel(samples, [0.0, 4.0, 30.0, 1e5]))


def test_nothing_is_correlated() -> None:
    """Data of a toy, toys beside each other, seeds and streams."""
    model, n = poisson_and_normal(), 40_000
    core, truth = model._core, model.init
    toys = _core.toy_data(core, truth, 11, 0, (0, n + 1))
    others = [
        toys[1:],  # the next toy
        _core.toy_data(core, truth, 12, 0, (0, n)),
        _core.toy_data(core, truth, 11, 1, (0, n)),
        _core.toy_data(core, truth, 11, 0, (2**32, n)),
    ]
    columns = np.hstack([toys[:-1], *others])
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 5.0 / np.sqrt(n)


def test_auxiliary_measurements_follow_the_parameters() -> None:
    """Poisson ones have the mean tau gamma, which may be 0, less, or huge."""
    model = poisson_and_normal()
    tau = np.array([9.0, 16.0, 36.0, 1e4])
    factors = np.array([0.0, -0.5, 2.0, 1e20])
    truth = model.init.copy()
    rates = [model.parameters.index(f"rates[{k}]") for k in range(4)]
    truth[rates] = factors
    expected = model.expected_data(truth)[4:]
    toys = nextstat.toy_data(model, 3000, params=truth, seed=1)[:, 4:]
    constrained = list(np.flatnonzero(model.parameters.constrained))
    for rate, mean in zip(rates, tau * factors, strict=True):
        column = constrained.index(rate)
        assert expected[column] == pytest.approx(mean)
        spread = np.sqrt(max(mean, 0.0))
        assert toys[:, column].mean() == pytest.approx(max(mean, 0.0), abs=0.1 * spread)
        assert toys[:, column].std() == pytest.approx(spread, rel=0.05)


def test_a_datum_does_not_feel_the_others() -> None:
    """One expectation changes, and only its own counts do."""
    one = nextstat.toy_data(thrown_at([3.0, 50.0, 70.0]), 200, params=[1.0], seed=4)
    two = nextstat.toy_data(thrown_at([3.0, 51.0, 70.0]), 200, params=[1.0], seed=4)
    assert np.array_equal(one[:, [0, 2]], two[:, [0, 2]])
    assert not np.array_equal(one[:, 1], two[:, 1])


def test_same_toys_everywhere() -> None:
    """Counts and normal numbers that every platform must draw."""
    toys = nextstat.toy_data(thrown_at([0.5, 8.0, 25.0, 1e6, 1e14, 1e17]), 3, params=[1.0], seed=42)
    assert toys.tolist() == [
        [0.0, 8.0, 32.0, 1000727.0, 99999993080376.0, 9.999999991184834e16],
        [0.0, 10.0, 24.0, 1000538.0, 100000007397368.0, 9.999999992489678e16],
        [0.0, 5.0, 21.0, 1001466.0, 99999993906433.0, 1.0000000102543427e17],
    ]


# What cannot be expected --------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e300, -1e300])
def test_infinite_expectations(factor: float) -> None:
    model = thrown_at([2.0, 1e20])
    with pytest.raises(ValueError, match=r"expects -?inf events in bin 1 of 'channel'"):
        nextstat.toy_data(model, 1, params=[factor], seed=1)
    with pytest.raises(ValueError, match="no toys can be thrown at params"):
        nextstat.fit_toys(model, 1, params=[factor], seed=1)
    with pytest.raises(ValueError, match=r"expectation of bin 1 is -?inf"):
        _core.toy_data(model._core, [factor], 1, 0, (0, 1))


def test_infinite_auxiliary_expectation() -> None:
    model = poisson_and_normal()
    truth = model.init.copy()
    truth[model.parameters.index("rates[0]")] = 1e308
    with pytest.raises(ValueError, match=r"expects inf for the auxiliary measurement of 'rates\[0"):
        nextstat.toy_data(model, 1, params=truth, seed=1)
    with pytest.raises(ValueError, match="expectation of auxiliary measurement"):
        _core.toy_data(model._core, truth, 1, 0, (0, 1))
