"""Figures with intervals: every statistic that a claim or a chart shows goes through here.

All intervals are 95 % unless `level` says otherwise. Random choices are seeded, so a saved run judged again gives the
same figures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri

SEED = 20251008
_RESAMPLES = 400

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with its interval and the number of samples that it rests on."""

    value: float
    low: float
    high: float
    samples: int

    @property
    def interval(self) -> tuple[float, float]:
        return (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through (seconds, value): `per_second` with its interval, and the value at second 0."""

    per_second: float
    low: float
    high: float
    intercept: float
    samples: int

    @property
    def interval(self) -> tuple[float, float]:
        return (self.low, self.high)

    def at(self, second: float) -> float:
        return self.intercept + self.per_second * second


def needed_samples(q: float) -> int:
    """Samples below which the percentile `q` (0 to 100) is not told: ten beyond it, so p99.9 needs 10,000."""
    tail = min(q, 100.0 - q) / 100.0
    return round(10 / tail) if tail > 0 else 1


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[Array], float],
    *,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """A statistic with a percentile interval from a circular block bootstrap.

    `values` are in the order in which they were taken. Whole blocks of n^(1/3) neighbours are drawn, so a stretch in
    which the machine was slow is drawn as a stretch (Politis and Romano 1992).

    Raises:
        ValueError: there are no values.
    """
    sample = _array(values)
    drawn = np.array([statistic(resample) for resample in _resamples(sample, resamples, seed)])
    low, high = _middle(drawn, level)
    return Estimate(float(statistic(sample)), low, high, sample.size)


def percentile(
    values: ArrayLike, q: float, *, level: float = 0.95, resamples: int = _RESAMPLES, seed: int = SEED
) -> Estimate | None:
    """The percentile `q` (0 to 100) with a bootstrap interval; None below `needed_samples(q)` values."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < needed_samples(q):
        return None
    return bootstrap(sample, lambda part: float(np.percentile(part, q)), level=level, resamples=resamples, seed=seed)


def percentile_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    q: float,
    *,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = SEED,
) -> Estimate | None:
    """How many times the numerator's percentile `q` is the denominator's; None when either has too few values.

    The two are resampled independently; `samples` is the smaller of the two sizes.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    if min(above.size, below.size) < needed_samples(q) or np.percentile(below, q) <= 0:
        return None
    pairs = zip(_resamples(above, resamples, seed), _resamples(below, resamples, seed + 1), strict=True)
    drawn = np.array([np.percentile(a, q) / max(np.percentile(b, q), 1e-12) for a, b in pairs])
    low, high = _middle(drawn, level)
    value = float(np.percentile(above, q) / np.percentile(below, q))
    return Estimate(value, low, high, min(above.size, below.size))


def proportion(successes: int, trials: int, *, level: float = 0.95) -> Estimate:
    """A share with its exact interval (Clopper and Pearson 1934).

    Raises:
        ValueError: there are no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is not a proportion")
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return Estimate(successes / trials, low, high, trials)


def slope(
    seconds: ArrayLike,
    values: ArrayLike,
    *,
    level: float = 0.95,
    points: int = 60,
    resamples: int = 1000,
    seed: int = SEED,
) -> Slope | None:
    """The trend of a series with an interval; None with fewer than 8 readings or no stretch of time.

    Readings are first reduced to the medians of at most `points` equal stretches, which takes out single spikes; then
    least squares, with the interval from a block bootstrap of the residuals, which neighbouring readings share.
    """
    x, y = np.asarray(seconds, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.size != y.size:
        raise ValueError(f"{x.size} times for {y.size} values")
    if x.size < 8 or x.max() <= x.min():
        return None
    middle, level_of = _medians(x, y, points)
    if middle.size < 3:
        return None
    centred = middle - middle.mean()
    weights = centred / float(centred @ centred)
    rate = float(weights @ level_of)
    intercept = float(level_of.mean() - rate * middle.mean())
    residuals = level_of - (intercept + rate * middle)
    # Residuals of a fitted line are too small by its two parameters.
    residuals = residuals * np.sqrt(middle.size / (middle.size - 2))
    drawn = np.array([rate + float(weights @ part) for part in _resamples(residuals, resamples, seed)])
    low, high = _middle(drawn, level)
    return Slope(rate, low, high, intercept, x.size)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979), in the order given; each is at most 1."""
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = running
    return corrected


def p_value_of_difference(before: Estimate, after: Estimate, *, level: float = 0.95) -> float:
    """Two-sided p-value for two figures being the same, from their intervals read as normal ones.

    The side of each interval that faces the other figure gives its standard error, so skewed intervals count on the
    side that matters. Two figures without width differ for certain or not at all.
    """
    difference = after.value - before.value
    if difference == 0:
        return 1.0
    reach = float(ndtri(1 - (1 - level) / 2))
    towards_after = (before.high - before.value) if difference > 0 else (before.value - before.low)
    towards_before = (after.value - after.low) if difference > 0 else (after.high - after.value)
    error = float(np.hypot(towards_after, towards_before)) / reach
    return 0.0 if error <= 0 else float(2 * ndtr(-abs(difference) / error))


def _array(values: ArrayLike) -> Array:
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("a statistic needs at least one value")
    return sample


def _resamples(sample: Array, resamples: int, seed: int) -> Iterator[Array]:
    """Resamples of the same size, one after the other, in circular blocks of n^(1/3) neighbours."""
    generator = np.random.default_rng(seed)
    size = sample.size
    block = max(1, round(size ** (1 / 3)))
    blocks = -(-size // block)
    wrapped = np.concatenate([sample, sample[: block - 1]])
    offsets = np.arange(block)
    for _ in range(resamples):
        yield wrapped[(generator.integers(0, size, blocks)[:, None] + offsets).ravel()[:size]]


def _middle(drawn: Array, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def _medians(x: Array, y: Array, points: int) -> tuple[Array, Array]:
    """Mean time and median value of each of at most `points` equal stretches that hold a reading."""
    edges = np.linspace(x.min(), x.max(), min(points, x.size) + 1)
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, edges.size - 2)
    held = np.unique(place)
    return (
        np.array([x[place == stretch].mean() for stretch in held]),
        np.array([np.median(y[place == stretch]) for stretch in held]),
    )
