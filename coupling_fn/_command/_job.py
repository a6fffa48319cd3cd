"""The main job, `python -m coupling_fn`: couple, simulate, sweep k, fit k. It is the first example.

The model is a network of oscillators just below their bifurcation, driven by noise. Their coupling
is additive and delayed. The stronger it is, the nearer it brings the network as a whole to its
bifurcation, so which regions vary together tells k. `--node` takes another model.
"""

import argparse
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

from .._connectome import read_matrix
from ..observe._fc_objectives import require_fc
from ._options import SPEED, make_parser
from ._preset import Preset
from ._presets import PRESETS

STRENGTHS = 16  # values of k in the scan, evenly spaced in log k
# Runs at once, each with a key of its own: for FC they are as good as one long run, and faster.
RUNS = 16
# The time left out at the start of each run, and the time between samples. [pace of the preset]
START, SAMPLE = 500.0, 10.0
FIT_STEPS = 15


class Task(NamedTuple):
    """What is asked for: a network on a connectome, and the functional connectivity to reach.

    Attributes:
        connectome: its weights and tract lengths.
        preset: the node, its noise, and the range of k to scan.
        target_fc: the functional connectivity to reach; None to simulate it at `preset.true_k`. [1]
        net: the network.
        params: its parameters.
        duration: that of each run. [ms]
        seed: that of the synthetic connectome and of the noise.
    """

    connectome: cf.Connectome
    preset: Preset
    target_fc: jax.Array | None
    net: cf.Network
    params: cf.Params
    duration: float
    seed: int


def build_network(
    connectome: cf.Connectome, preset: Preset, dt: float, speed: float | None
) -> tuple[cf.Network, cf.Params]:
    """Couple one node per region along the connectome, with delays of its tracts if there is a speed."""
    weights, lags = cf.normalize(connectome.weights, by="symmetric"), None
    if speed is not None:
        if connectome.lengths is None:
            raise ValueError(
                "The connectome has no tract lengths, which delays need: give them with --lengths FILE, "
                "or leave the delays out with --no-delays."
            )
        lags = cf.lags(connectome.lengths, speed=speed, dt=dt, weights=weights)
    net = cf.Network(preset.node, dt=dt, lags=lags)
    return net, cf.Params(preset.params, preset.coupling(weights), preset.noise)


def steps_per_sample(task: Task) -> int:
    """Count the steps from one sample to the next."""
    return max(1, round(SAMPLE * task.preset.pace / task.net.dt))


def make_run(task: Task) -> Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]:
    """Return the function from k and a random key to signals and phases, (time, region)."""
    net, preset, regions = task.net, task.preset, len(task.connectome)
    rest = preset.state(**{name: jnp.full(regions, x) for name, x in preset.rest.items()})
    every = steps_per_sample(task)
    times = (START * preset.pace, task.duration)
    start, samples = (math.ceil(time / net.dt / every) for time in times)
    steps = (start + samples) * every

    def record(state):
        return preset.observe(state.node)

    def one(params, key):
        state = net.init(rest, params, key=key)
        return cf.simulate(net, state, params, steps, record=record, every=every)[1]

    def run(k, key):
        params = eqx.tree_at(lambda p: p.coupling.k, task.params, jnp.asarray(k))
        observed = jax.vmap(one, in_axes=(None, 0))(params, jax.random.split(key, RUNS))
        observed = jax.tree.map(lambda x: x[:, start:], observed)
        if "phase" not in observed:
            observed["phase"] = jax.vmap(cf.observe.instantaneous_phase)(observed["signal"])
        return tuple(observed[name].reshape(-1, regions) for name in ("signal", "phase"))

    return run


class Solution(NamedTuple):
    """What came out: the scan and fit of k, and the run at that k.

    Attributes:
        target_fc: the functional connectivity to reach. [1]
        search: the scan and the fit of k.
        signals: those of the run at the fitted k, (time, region).
        measures: synchrony and agreement with the target there, by name. [1]
    """

    target_fc: jax.Array
    search: cf.KSearch
    signals: jax.Array
    measures: dict[str, float]


def solve(task: Task, *, progress: bool) -> Solution:
    """Sweep k, fit it by gradient from the best k of the sweep, and measure the run there."""
    run = make_run(task)
    target_key, key = jax.random.split(jax.random.key(task.seed))
    target_fc = task.target_fc
    if target_fc is None:
        target, _ = jax.jit(run)(task.preset.true_k, target_key)
        target_fc = cf.observe.functional_connectivity(target)
    search = find(task, run, target_fc, key, progress=progress)
    signals, phases = jax.jit(run)(search.k, key)
    fc = cf.observe.functional_connectivity(signals)
    measures = {
        "synchrony": cf.observe.synchrony(phases),
        "chance_synchrony": cf.observe.chance_synchrony(phases),
        "metastability": cf.observe.metastability(phases),
        "fc_correlation": cf.observe.fc_correlation(fc, target_fc),
        "fc_rmse": cf.observe.fc_rmse(fc, target_fc),
    }
    return Solution(target_fc, search, signals, {name: x.item() for name, x in measures.items()})


def find(
    task: Task,
    run: Callable[[Any, jax.Array], Any],
    target_fc: jax.Array,
    key: jax.Array,
    ks: Any = None,
    *,
    progress: bool,
) -> cf.KSearch:
    """Find k by the rmse of FC, since the correlation of FC is nearly as high far beyond the best k."""
    return cf.find_k(
        lambda k: run(k, key),
        target_fc,
        ks=np.geomspace(*task.preset.ks, STRENGTHS) if ks is None else ks,
        objective=cf.observe.fc_rmse,
        fit_steps=FIT_STEPS,
        chunk=8,
        progress=progress,
    )


def summarise(task: Task, solution: Solution) -> dict[str, Any]:
    """Gather the values that go to result.json; those that are not finite become null."""
    search, weights = solution.search, task.connectome.weights
    structure = {"weights": weights, "log(1 + weights)": jnp.log1p(jnp.abs(weights))}
    fit, names = search.fit, ("synchrony", "metastability", "fc_correlation", "fc_rmse")
    numbers = {
        "version": cf.__version__,
        "regions": len(task.connectome),
        "true_k": task.preset.true_k if task.target_fc is None else None,
        "fitted_k": search.k,
        **solution.measures,
        "regime": cf.name_regime(
            solution.measures["synchrony"],
            len(task.connectome),
            solution.measures["chance_synchrony"],
        ),
        "working_range": list(search.working_range),
        "reasons": list(search.reasons),
        "fc_correlation_of_structure": {
            name: cf.observe.fc_correlation(x, solution.target_fc).item()
            for name, x in structure.items()
        },
        "fit": {"k": fit.path.tolist(), "fc_rmse": fit.losses.tolist()} if fit else None,
        "sweep": {
            "k": search.ks.tolist(),
            **{name: getattr(search, name).tolist() for name in names},
            "regime": list(search.regimes),
        },
    }
    return jax.tree.map(_null_if_infinite, numbers)


def _null_if_infinite(x: Any) -> Any:
    return None if isinstance(x, float) and not math.isfinite(x) else x


def print_summary(summary: dict[str, Any]) -> None:
    """Print what came out, in a few lines."""
    k, true_k = summary["fitted_k"], summary["true_k"]
    truth = f"; the target was simulated at {true_k:g} ({k / true_k - 1:+.1%})" if true_k else ""
    print(f"\nFitted k = {k:.4f}, {summary['regime']}{truth}.")
    print(f"FC correlation {summary['fc_correlation']:.3f}, rmse {summary['fc_rmse']:.3f}.")
    of_structure = (f"{name} {r:.3f}" for name, r in summary["fc_correlation_of_structure"].items())
    print(f"FC correlation of structure alone: {', '.join(of_structure)}.")


def draw(path: Path, task: Task, solution: Solution) -> None:
    """Draw the report: both connectivities, the sweep with the fit on it, and some signals."""
    from matplotlib.figure import Figure

    search, x = solution.search, solution.signals
    fit, k, reached = search.fit, search.k, solution.measures["fc_correlation"]
    figure = Figure(figsize=(11.5, 9), layout="constrained")
    (target, simulated), (sweep, signals) = figure.subplots(2, 2)
    labels = task.connectome.labels
    cf.plot.fc(solution.target_fc, target, title="FC, target", labels=labels)
    title = f"FC, simulated at k = {k:.3g}: correlation {reached:.2f}"
    cf.plot.fc(cf.observe.functional_connectivity(x), simulated, title=title, labels=labels)
    names = {"fc_rmse": "FC rmse", "fc_correlation": "FC correlation", "synchrony": "synchrony"}
    curves = {name: getattr(search, column) for column, name in names.items()}
    cf.plot.sweep(
        search.ks,
        curves,
        sweep,
        best=k,
        working_range=search.working_range if math.isfinite(search.working_range[0]) else None,
        fits={"fit": (fit.path, fit.losses)} if fit else {},
    )
    sweep.set_title("Sweep and fit of k")
    apart = max(1, x.shape[1] // 12)
    stretch = x[: min(200, len(x) // RUNS), ::apart]
    times = task.net.dt * steps_per_sample(task) * np.arange(1, len(stretch) + 1)
    names = labels or [str(region) for region in range(x.shape[1])]
    cf.plot.signals(times, stretch, signals, names[::apart])
    signals.set(title=f"Signals of 1 in {apart} regions" if apart > 1 else "Signals")
    figure.savefig(path, dpi=90)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, solve its task, print a summary, and write the result and the report."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            task = make_task(options)
        options.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, TypeError, ImportError) as error:
        parser.error(" ".join(str(error).split()))
    print(f"{'Connectome' if options.connectome else 'Synthetic connectome'}: {task.connectome}")
    for warning in told:
        half = "cf.surgery.symmetrize" in str(warning.message)
        way_out = " The option is --symmetrize." if half else ""
        print(f"Warning: {warning.message}{way_out}")
    print(f"Target FC: {options.target_fc or f'simulated at k = {task.preset.true_k:g}'}.")
    try:
        solution = solve(task, progress=not options.quiet)
    except FloatingPointError as error:
        parser.exit(1, f"{error} The option is --dt.\n")
    print(f"\n{solution.search}")
    summary = summarise(task, solution)
    summary["options"] = {
        name: x if isinstance(x, int | float | str | list | None) else str(x)
        for name, x in vars(options).items()
    }
    summary["model"] = {
        "coupling": type(task.params.coupling).__name__,
        "noise": task.preset.noise,
        **{name: np.asarray(x).tolist() for name, x in vars(task.preset.params).items()},
    }
    print_summary(summary)
    result, report = options.out / "result.json", options.out / "report.png"
    result.write_text(json.dumps(summary, indent=1) + "\n")
    try:
        draw(report, task, solution)
    except ImportError as error:
        print(f"Wrote {result}, but no picture. {error}")
    else:
        print(f"Wrote {result} and {report}.")


def make_task(options: argparse.Namespace) -> Task:
    """Read the files and check the numbers, before anything is simulated."""
    preset = PRESETS[options.node]
    options.dt = preset.pace if options.dt is None else options.dt
    options.duration = 2.0 * preset.pace if options.duration is None else options.duration
    if options.no_delays and (options.speed is not None or options.lengths):
        raise ValueError("Without delays nothing reads --speed and --lengths: leave them out.")
    if not options.no_delays:
        options.speed = SPEED if options.speed is None else options.speed
    for name, most in (("dt", SAMPLE * preset.pace), ("speed", 1e6), ("duration", 1e6)):
        value = getattr(options, name)
        if value is not None and not 0 < value <= most:
            raise ValueError(f"--{name} must be above 0 and up to {most:g}; got {value}.")
    if options.connectome and options.nodes is not None:
        raise ValueError("--nodes is for the synthetic connectome: leave out it or --connectome.")
    if options.lengths and not options.connectome:
        raise ValueError("--lengths goes with the weights of a file: give --connectome, too.")
    if (options.keys or options.symmetrize) and not options.connectome:
        raise ValueError("--keys and --symmetrize go with a file: give --connectome, too.")
    if options.connectome:
        connectome = load(options)
    else:
        nodes = 68 if options.nodes is None else options.nodes
        connectome = cf.synthetic_connectome(nodes, jax.random.key(options.seed))
    if len(connectome) < 3:
        raise ValueError(
            f"A comparison of FC needs 3 regions or more; the connectome has {len(connectome)}."
        )
    target_fc = load_fc(Path(options.target_fc), connectome) if options.target_fc else None
    net, params = build_network(connectome, preset, options.dt, options.speed)
    return Task(connectome, preset, target_fc, net, params, 1000 * options.duration, options.seed)


def load(options: argparse.Namespace) -> cf.Connectome:
    """Read the connectome."""
    keys = {}
    for key in options.keys:
        part, equals, name = key.partition("=")
        if not equals:
            raise ValueError(f"--keys must be like weights=SC; got {key!r}.")
        keys[part] = name or None
    with warnings.catch_warnings():
        if options.symmetrize:
            warnings.filterwarnings("ignore", ".*cf.surgery.symmetrize", UserWarning)
        connectome = cf.load_connectome(options.connectome, options.lengths, keys=keys)
    return cf.surgery.symmetrize(connectome) if options.symmetrize else connectome


def load_fc(path: Path, connectome: cf.Connectome) -> jax.Array:
    """Read a functional connectivity, and check that it is one of the same regions."""
    names = ("fc", "functional_connectivity")
    fc = read_matrix(path, "functional connectivity", names, connectome.labels or ())
    fc = require_fc(str(path), jnp.asarray(fc, float), len(connectome))
    if not (jnp.abs(fc) <= 1).all():
        raise ValueError(
            f"{path} must hold correlations, from -1 to 1; some are beyond. If they are Fisher's z, "
            "take tanh of them."
        )
    return fc
