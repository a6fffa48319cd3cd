"""What `diagnose_run` measures in signals.

All of it is in NumPy, although `observe` has most of it: to compile that for the length of one record
would take longer than everything else.
"""

import dataclasses

import numpy as np

HUGE = 1e3  # An explosion exceeds the width of a state's range, or the first amplitude, by this factor.
BANDS = 10  # Bands of frequencies among which the one with most power is looked for.


@dataclasses.dataclass(frozen=True)
class Measures:
    """How strongly the signals of all regions go together, and how fast they vary.

    Attributes:
        order: the order parameter, averaged over time. [1]
        chance: what it would be if each region ran by itself (`observe.chance_synchrony`). [1]
        fc: the mean correlation of two regions. [1]
        rms_fc: the root mean square of the correlations. [1]
        chance_fc: the same after each region is shifted in time, so that only chance correlates. [1]
        fc_error: the standard error of a correlation. [1]
        peak: the frequency with most power in the band with most; 0 where no band stands out. [Hz]
        cycles: the number of cycles in the record, at the frequency that halves the power. [1]
        spread: the standard deviation, over regions, of their mean frequencies. [rad/ms]
        correlations: those of all pairs, `(region, region)`. [1]
    """

    order: float
    chance: float
    fc: float
    rms_fc: float
    chance_fc: float
    fc_error: float
    peak: float
    cycles: float
    spread: float
    correlations: np.ndarray

    def facts(self) -> dict[str, float]:
        """Return what a report shows of these."""
        return {
            "order parameter": self.order,
            "mean FC": self.fc,
            "standard error of FC": self.fc_error,
            "cycles": self.cycles,
        }


def measure(x: np.ndarray, dt: float, angle: bool) -> Measures:
    """Measure finite signals, `(time, region)`; angles are measured by their cosines."""
    signals = np.cos(x) if angle else x
    phases = x if angle else _phases(signals)
    order = float(np.abs(np.exp(1j * phases).mean(1)).mean())
    fc = _correlations(signals)
    apart = ~np.eye(len(fc), dtype=bool)
    power = np.abs(np.fft.rfft(signals - signals.mean(0), axis=0)) ** 2
    share = power / np.maximum(power.sum(0), np.finfo(float).tiny)
    mean = share.mean(1)
    turning = np.unwrap(phases, axis=0)
    frequency = (turning[-1] - turning[0]) / max(len(x) - 1, 1) / dt
    half = int(np.searchsorted(np.cumsum(mean), 0.5))
    return Measures(
        order=order,
        chance=_chance(phases),
        fc=float(fc[apart].mean()) if apart.any() else 1.0,
        rms_fc=_rms(fc[apart]),
        chance_fc=_rms(_correlations(_shifted(signals))[apart]),
        fc_error=float(np.sqrt((mean**2).sum() / 2)),
        peak=_peak(mean, len(x), dt),
        cycles=float(max(half, 1)),
        spread=float(np.std(np.abs(frequency))),
        correlations=fc,
    )


def first_explosion(x: np.ndarray, width: float | None) -> tuple[int, int] | None:
    """Find the first sample that is not finite or beyond all bounds, and its region; None if none is."""
    with np.errstate(invalid="ignore"):
        size = np.abs(x)
    begin = size[: max(len(x) // 10, 1)]
    begin = begin[np.isfinite(begin)]
    first = float(np.median(begin)) if begin.size else 0.0
    bound = HUGE * (width if width is not None else max(first, 1e-30))
    finite = np.isfinite(x)
    if finite.all() and width is None and not _grows(size, bound):
        return None
    beyond = ~finite | (size > bound)
    if not beyond.any():
        return None
    sample = int(np.flatnonzero(beyond.any(1))[0])
    here = np.where(finite[sample], size[sample], np.inf)
    return sample, int(here.argmax())


def _grows(size: np.ndarray, bound: float) -> bool:
    """Return whether the largest value grows from tenth to tenth of the record, to beyond the bound."""
    tenths = [part.max() for part in np.array_split(size.max(1), min(10, len(size)))]
    return bool(tenths[-1] > bound and (np.diff(tenths) > 0).all())


def turns(x: np.ndarray, region: int) -> bool:
    """Return whether a region's signal changes direction at every sample, as unstable steps do."""
    steps = np.diff(x[-21:, region])
    steps = steps[np.isfinite(steps)]
    return len(steps) > 3 and bool((steps[1:] * steps[:-1] < 0).mean() > 0.9)


def _phases(x: np.ndarray) -> np.ndarray:
    """Compute the angle of each region's analytic signal about its mean."""
    spectrum = np.fft.fft(x - x.mean(0), axis=0)
    spectrum[len(x) // 2 + 1 :] = (
        0  # Without negative frequencies; a factor would not change the angle.
    )
    return np.angle(np.fft.ifft(spectrum, axis=0))


def _chance(phases: np.ndarray) -> float:
    """Compute the order parameter of independent regions, as `observe.chance_synchrony` does."""
    mean = np.exp(1j * phases).mean(0)
    own, even = float((np.abs(mean) ** 2).mean()), np.pi / 4 / len(mean)
    square = even if own > 0.5 else np.abs(mean.mean()) ** 2 + even * (1 - own)
    return float(np.sqrt(square))


def _correlations(x: np.ndarray) -> np.ndarray:
    """Correlate the regions; the correlation with one that does not vary is 0."""
    x = x - x.mean(0)
    x = x / np.maximum(np.linalg.norm(x, axis=0), np.finfo(float).tiny)
    return x.T @ x


def _rms(x: np.ndarray) -> float:
    """Compute the root mean square; 0 of nothing."""
    return float(np.sqrt((x**2).mean())) if x.size else 0.0


def _shifted(x: np.ndarray) -> np.ndarray:
    """Shift each region further in time than the one before, so that no two are at the same time."""
    n = x.shape[1]
    return np.stack([np.roll(x[:, i], i * len(x) // n) for i in range(n)], axis=1)


def _peak(mean: np.ndarray, samples: int, dt: float) -> float:
    """Find the frequency with most power [Hz], in the band with most; 0 where none stands out."""
    bands = np.array_split(mean[1:], BANDS)
    if len(mean) <= BANDS:
        return 0.0
    power = np.array([band.sum() for band in bands])
    if power.max() < 2 * power.mean():
        return 0.0
    band = int(power.argmax())
    start = 1 + sum(len(b) for b in bands[:band])
    return float((start + bands[band].argmax()) / (samples * dt) * 1000)
