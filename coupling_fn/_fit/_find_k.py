"""Finding the coupling strength: scan from weak to strong, describe the scan, refine by gradient."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike
from jaxtyping import Num

from .._core import (
    Scalar,
    as_count,
    as_float,
    asking,
    known,
    require_callable,
    require_finite,
)
from ..observe import (
    chance_synchrony,
    fc_correlation,
    fc_rmse,
    functional_connectivity,
    instantaneous_phase,
    metastability,
    synchrony,
)
from ..observe._fc_objectives import require_fc
from ..observe._synchrony import ABOVE_CHANCE
from ..transforms import Transform
from ._fit import FitResult, fit
from ._sweep import sweep_quietly

KS = np.geomspace(0.01, 1.0, 16)
SATURATED = 0.8  # the synchrony at which the working range ends
REGIMES = ("uncoupled", "working range", "over-synchronised", "exploding")
RATIO = Transform(jnp.exp, jnp.log)  # a step of the optimiser multiplies k by a factor


class KSearch(eqx.Module):
    """What `find_k` found; `print` shows the table of the scan, and the reasons.

    Attributes:
        k: the strength that agrees best with the target. [unit of k]
        working_range: the smallest and the largest k of the scan in the working range, where the
            network synchronises in part; NaN if there is none. [unit of k]
        reasons: how k was found, and what to doubt, one sentence each.
        ks: the strengths of the scan. [unit of k]
        regimes: what the coupling does at each, by `name_regime`.
        synchrony: the order parameter at each, from 0 to 1. [1]
        chance: the synchrony at each that these signals would have by chance. [1]
        metastability: the standard deviation of synchrony over time, at each. [1]
        fc_correlation: the correlation of FC with the target, at each. [1]
        fc_rmse: the root mean square of its differences from the target, at each. [1]
        objective: what was minimised, at each. [unit of the objective]
        fit: the fit from the best k of the scan; None if there was none.

    Example:
        >>> search = cf.KSearch(
        ...     *(0.1, (0.1, 0.1), ("k is 0.1.",), np.array([0.1]), ("working range",)),
        ...     *(np.array([0.3]) for _ in range(6)),
        ...     fit=None,
        ... )
        >>> print(search)
               k  synchrony  metastability  FC correlation  FC rmse  regime
             0.1      0.300          0.300           0.300    0.300  working range
        k is 0.1.
    """

    k: float
    working_range: tuple[float, float]
    reasons: tuple[str, ...]
    ks: np.ndarray
    regimes: tuple[str, ...]
    synchrony: np.ndarray
    chance: np.ndarray
    metastability: np.ndarray
    fc_correlation: np.ndarray
    fc_rmse: np.ndarray
    objective: np.ndarray
    fit: FitResult | None

    def __str__(self) -> str:
        lines = ["       k  synchrony  metastability  FC correlation  FC rmse  regime"]
        columns = self.ks, self.synchrony, self.metastability, self.fc_correlation, self.fc_rmse
        for row in zip(*columns, self.regimes, strict=True):
            lines.append("{:8.4g}  {:9.3f}  {:13.3f}  {:14.3f}  {:7.3f}  {}".format(*row))
        return "\n".join([*lines, *self.reasons])


def find_k(
    run: Callable[[Any], Any],
    target_fc: Num[ArrayLike, "region region"],
    *,
    ks: Num[ArrayLike, " k"] = KS,
    objective: Callable[[Any, Any], Any] = fc_rmse,
    fit_steps: int = 15,
    chunk: int | None = None,
    progress: bool = True,
) -> KSearch:
    r"""Find the coupling strength at which a network's functional connectivity is that of data.

    All of `ks` are run at once. The working range (`name_regime`) lies between the onset of
    synchrony and its saturation. From the finite run that agrees best, k is then refined by
    gradient, in its logarithm.

    Args:
        run: pure function from a k to signals, (time, region), usually a `simulate` whose beginning
            is left out; or to a pair of signals and phases, where the phases are not to be those of
            `instantaneous_phase`. Give all k the same random key, so that the curves are smooth.
        target_fc: the connectivity to reach, of the same regions. [1]
        ks: strengths to scan, rising from small ones. [unit of k]
        objective: function of a simulated connectivity and the target, to be minimised. Correlation
            alone (`fc_correlation_distance`) is nearly as good far beyond the best k.
        fit_steps: number of steps of the refinement; with 0, k is the best of the scan. [1]
        chunk: number of k that run at once, as in `sweep`. [1]
        progress: show bars on stderr, as `sweep` and `fit` do.

    Returns:
        k, the curves, the working range, and the reasons in words.

    Raises:
        ValueError: if `target_fc` is not symmetric, not finite, constant or of another size than the
            signals; or `ks` are not positive and rising.
        TypeError: if `run` returns neither one array nor two of one shape.
        FloatingPointError: if no run is finite.

    Example:
        >>> t = jnp.linspace(0.0, 60.0, 300)[:, None]
        >>> own = jnp.sin(t * jnp.array([[1.0, 1.7, 2.6, 3.1]]))
        >>> def run(k):  # the larger k, the more the regions have in common
        ...     return own + k * jnp.sin(2.2 * t) * jnp.array([[1.0, 2.0, 3.0, 4.0]])
        >>> search = cf.find_k(run, cf.observe.functional_connectivity(run(0.3)), progress=False)
        >>> round(search.k, 2)
        0.3
    """
    require_callable("run", run, "cf.find_k(run, target_fc)")
    require_callable("objective", objective, "a function of the simulated FC and the target")
    strengths = _checked_ks(ks)
    fit_steps = as_count("fit_steps", fit_steps)
    signals = _shape_of_signals(run, strengths[0])
    regions = signals.shape[1]
    target_fc = require_fc("target_fc", target_fc, regions).astype(signals.dtype)

    def measure(k: Any) -> dict[str, Any]:
        fc, phases = _observe(run, k)
        return {
            "synchrony": synchrony(phases),
            "chance": chance_synchrony(phases),
            "metastability": metastability(phases),
            "fc_correlation": fc_correlation(fc, target_fc),
            "fc_rmse": fc_rmse(fc, target_fc),
            "objective": distance(fc),
        }

    def distance(fc: Any) -> Any:
        with asking("`objective`", {}, "It is called with a simulated FC and the target."):
            return objective(fc, target_fc)

    def loss(params: dict[str, Any]) -> Any:
        return distance(_observe(run, params["k"])[0])

    got = getattr(jax.eval_shape(distance, target_fc), "shape", None)
    if got != ():
        raise TypeError(f"`objective` must return one number, not an array of shape {got}.")

    swept = sweep_quietly(measure, strengths, chunk=chunk, progress=progress)
    curves = {name: np.asarray(x) for name, x in swept.items()}
    scan = _scan_of(np.asarray(strengths), curves, regions)
    k, refined = scan.ks[scan.best].item(), None
    reasons = [*_on_synchrony(scan), *_on_agreement(scan)]
    if fit_steps:
        try:
            refined = _refined(loss, scan.ks[scan.best], fit_steps, progress)
        except ValueError as error:  # its gradient is not finite: the scan stands
            reasons.append(f"k was not refined by gradient. {error}")
        else:
            k = float(refined.params["k"])
            reasons.append(_on_refinement(refined, float(scan.ks[scan.best]), k))
    inside = scan.ks[scan.regimes == REGIMES[1]]
    ends = tuple(inside[[0, -1]].tolist()) if inside.size else (math.nan, math.nan)
    regimes = tuple(scan.regimes.tolist())
    return KSearch(k, ends, tuple(reasons), scan.ks, regimes, **scan.curves, fit=refined)


def refinement(steps: int) -> optax.GradientTransformation:
    """Return the optimiser that refines the logarithm of k, by steps that go from 0.1 down to 0."""
    return optax.adam(optax.cosine_decay_schedule(0.1, steps), b1=0.5, b2=0.9)


class _Scan(NamedTuple):
    """The runs of all `ks`: curves over them, which runs are finite, and which agrees best."""

    ks: np.ndarray
    curves: dict[str, np.ndarray]
    finite: np.ndarray
    regimes: np.ndarray
    best: int


def _checked_ks(ks: Any) -> Any:
    ks = as_float("ks", ks)
    if ks.ndim != 1 or not ks.size:
        raise ValueError(f"`ks` must be strengths in a row; its shape is {ks.shape}.")
    require_finite("ks", ks)
    if not known(ks) or not (np.diff(np.concatenate([[0.0], np.asarray(ks, float)])) > 0).all():
        raise ValueError(f"`ks` must be known, positive and rising; got {ks}.")
    return ks


def _shape_of_signals(run: Callable[[Any], Any], k: Any) -> jax.ShapeDtypeStruct:
    with asking("`run`", {}, "`run` is called with one k."):
        got: Any = jax.eval_shape(run, k)
    parts: Any = got if isinstance(got, tuple) else (got,)
    shapes: list[Any] = [getattr(part, "shape", ()) for part in parts]
    if len(parts) not in (1, 2) or shapes[0] != shapes[-1] or len(shapes[0]) != 2:
        raise TypeError(
            f"`run` must return signals, one array (time, region), or signals and phases; got {got}."
        )
    return parts[0]


def _observe(run: Callable[[Any], Any], k: Any) -> tuple[Any, Any]:
    """Return the functional connectivity and the phases of a run."""
    signals, *phases = jax.tree.leaves(run(k))
    return functional_connectivity(signals), *(phases or [instantaneous_phase(signals)])


def _scan_of(ks: np.ndarray, curves: dict[str, np.ndarray], regions: int) -> _Scan:
    finite = np.asarray(np.isfinite(np.stack(list(curves.values()))).all(axis=0))
    if not finite.any():
        raise FloatingPointError("No run of the scan is finite: try smaller `ks`, or a smaller dt.")
    best = int(np.where(finite, curves["objective"], np.inf).argmin())
    rates = np.where(finite, curves["synchrony"], np.nan).tolist()
    levels = zip(rates, curves["chance"].tolist(), strict=True)
    regimes = np.array([name_regime(rate, regions, chance) for rate, chance in levels])
    return _Scan(ks, curves, finite, regimes, best)


def _refined(loss: Callable[[Any], Any], k: Any, steps: int, progress: bool) -> FitResult:
    """Fit k from the best of the scan."""
    with warnings.catch_warnings():  # what `fit` warns of stands among the reasons
        ours = "No step was better than the start|The fit stopped early"
        warnings.filterwarnings("ignore", ours, RuntimeWarning)
        return fit(
            loss,
            {"k": jnp.asarray(k)},
            where=lambda p: p["k"],
            optimizer=refinement(steps),
            steps=steps,
            transform=RATIO,
            progress=progress,
        )


def name_regime(synchrony: Scalar, regions: int, chance: Scalar | None = None) -> str:
    r"""Name what a coupling does to a network, by how synchronous its regions are.

    Synchrony sets in where it exceeds 1.4 times what it is by chance, and is saturated above 0.8.

    Args:
        synchrony: the order parameter, averaged over time. [1]
        regions: number of regions. [1]
        chance: what synchrony is by chance, `chance_synchrony(phases)`; by default that of phases
            that advance evenly, $\sqrt{\pi / N} / 2$ for $N$ regions. [1]

    Returns:
        "uncoupled", "working range", "over-synchronised", or "exploding" where it is not finite.

    Example:
        >>> [cf.name_regime(r, regions=68) for r in (0.1, 0.4, 0.9, float("nan"))]
        ['uncoupled', 'working range', 'over-synchronised', 'exploding']
    """
    if not math.isfinite(synchrony):
        return REGIMES[3]
    if synchrony > SATURATED:
        return REGIMES[2]
    level = math.sqrt(math.pi / regions) / 2 if chance is None else float(chance)
    return REGIMES[int(synchrony >= ABOVE_CHANCE * level)]


def _on_synchrony(scan: _Scan) -> Iterator[str]:
    """Describe where synchrony sets in, where it is saturated, and where the runs explode."""
    ks, synchrony, chance = scan.ks, scan.curves["synchrony"], scan.curves["chance"]
    _, working, saturated, exploding = (scan.regimes == regime for regime in REGIMES)
    finite, begun = ~exploding, working | saturated
    if exploding.any():
        yield f"The runs explode at k = {ks[~finite][0]:.4g}: a smaller k, or dt, is needed there."
    if not begun.any():
        most = np.where(finite, synchrony, -np.inf).argmax()
        yield (
            f"Synchrony does not set in up to k = {ks[-1]:.4g}: it stays at {synchrony[most]:.2f}, "
            f"where regions without coupling would have {chance[most]:.2f}. Scan larger k, or look "
            "at the connectome."
        )
    elif begun[0]:
        yield f"Regions are synchronous from the first k, {ks[0]:.4g}, on: scan smaller ones too."
    else:
        yield (
            f"Synchrony sets in at about k = {ks[begun][0]:.4g}, where it is "
            f"{synchrony[begun][0]:.2f}; regions without coupling would have {chance[begun][0]:.2f}."
        )
    if saturated.any():
        yield f"It is saturated from k = {ks[saturated][0]:.4g} on, above {SATURATED}."
    elif begun.any():
        yield f"It is not saturated up to k = {ks[-1]:.4g}."
    if working.any():
        yield f"The working range is about k = {ks[working][0]:.4g} to {ks[working][-1]:.4g}."


def _on_agreement(scan: _Scan) -> Iterator[str]:
    """Describe where FC agrees best with the target, and what makes that doubtful."""
    ks, curves, best = scan.ks, scan.curves, scan.best
    correlation = np.where(scan.finite, curves["fc_correlation"], -np.inf)
    yield (
        f"FC agrees best at k = {ks[best]:.4g} of the scan: rmse {curves['fc_rmse'][best]:.3f}, "
        f"correlation {correlation[best]:.3f}."
    )
    if correlation.argmax() != best:
        highest = int(correlation.argmax())
        yield (
            f"Correlation is highest at k = {ks[highest]:.4g}, {correlation[highest]:.3f}; there the "
            f"rmse is {curves['fc_rmse'][highest]:.3f}."
        )
    if best in (0, len(ks) - 1):
        yield "That is an end of the scan: the best k may lie beyond it."
    if scan.regimes[best] != REGIMES[1]:
        yield "That is outside the working range: check whether the model is of use there."


def _on_refinement(refined: FitResult, start: float, k: float) -> str:
    """Describe how far the gradient moved k, and what that brought."""
    went = (
        f"By gradient k went from {start:.4g} to {k:.4g}, the objective from "
        f"{refined.losses[0]:.4g} to {refined.loss:.4g}."
        if refined.best_step
        else f"By gradient no k was better than {k:.4g}: it is the minimum, or the runs are "
        "too long or too chaotic to have a useful gradient."
    )
    return f"{went} {refined.stopped}".rstrip()
