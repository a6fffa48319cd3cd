"""`python -m coupling_fn`: couple, simulate, sweep k, fit k. The first example of the library.

The model is a network of oscillators just below their bifurcation, kept going by noise. Their
coupling is additive and delayed: the stronger it is, the nearer it brings the network as a whole to
its bifurcation, and so k can be read from which regions vary together.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import coupling_fn as cf

NODE = cf.HopfParams(a=-0.02)  # [1/ms]; 10 Hz
NOISE = 0.02  # [1/ms^0.5]
KS = jnp.geomspace(0.005, 0.1, 16)  # the network's bifurcation is at -a = 0.02, later with delays
TRUE_K = 0.04  # of the made-up target
MEASURES = ("synchrony", "metastability", "fc_correlation", "fc_rmse")
START, SAMPLE = 1000.0, 10.0  # left out of the record, and from sample to sample [ms]
FIT_STEPS, FIT_RATE = 15, 0.1  # about a tenth of k in the first step, and less and less


class Task(NamedTuple):
    """What is asked: a connectome, and the functional connectivity to reach on it."""

    connectome: cf.Connectome
    target_fc: jax.Array | None  # None: simulate it at TRUE_K
    dt: float  # [ms]
    speed: float  # [mm/ms]
    duration: float  # [ms]
    seed: int


# --- the model -----------------------------------------------------------------------------------


def build_network(task: Task) -> tuple[cf.Network, cf.Params]:
    """Couple one oscillator a region along the connectome, with the delays of its tracts."""
    weights, lengths = balance(task.connectome.weights), task.connectome.lengths
    lags = cf.lags(lengths, speed=task.speed, dt=task.dt, weights=weights)
    net = cf.Network(cf.hopf, dt=task.dt, lags=lags)
    return net, cf.Params(node=NODE, coupling=cf.AdditiveCoupling(weights), noise=NOISE)


def balance(weights: jax.Array) -> jax.Array:
    """Divide each weight by the roots of what its target receives and of what its source sends.

    No hub then dominates, and without delays the bifurcation of the network is at k = -a.
    """
    received, sent = (jnp.abs(weights).sum(axis) for axis in (1, 0))
    received, sent = (jnp.sqrt(jnp.where(s > 0, s, 1)) for s in (received, sent))
    return weights / received[:, None] / sent[None, :]


def make_run(task: Task, net: cf.Network) -> Callable[[cf.Params, jax.Array], dict[str, jax.Array]]:
    """Give the function that simulates: what x and y of every region are, from params and a key."""
    rest = jnp.zeros(len(task.connectome))
    every = max(1, round(SAMPLE / task.dt))
    start, samples = (math.ceil(time / task.dt / every) for time in (START, task.duration))

    def run(params, key):
        state = net.init(cf.HopfState(rest, rest), params, key=key)
        state, _ = cf.simulate(net, state, params, steps=start * every, record=None)
        names = ("x", "y")
        return cf.simulate(net, state, params, steps=samples * every, record=names, every=every)[1]

    return run


def at_strength(params: cf.Params, k: Any) -> cf.Params:
    """Set k, and leave the rest as it is."""
    return eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k))


def measure(signals: dict[str, jax.Array], target_fc: jax.Array) -> dict[str, jax.Array]:
    """Measure a run: how synchronous it is, and how far from the target."""
    phases = jnp.atan2(signals["y"], signals["x"])
    fc = cf.functional_connectivity(signals["x"])
    return {
        "synchrony": cf.synchrony(phases),
        "metastability": cf.metastability(phases),
        "fc_correlation": cf.fc_correlation(fc, target_fc),
        "fc_rmse": cf.fc_rmse(fc, target_fc),
    }


def name_regime(synchrony: float, regions: int) -> str:
    """Name what the coupling does; `regions` phases at random have a synchrony of chance."""
    chance = math.sqrt(math.pi / regions) / 2
    if not math.isfinite(synchrony):
        return "exploding"
    if synchrony > 0.8:
        return "over-synchronised"
    return "uncoupled" if synchrony < 1.4 * chance else "working range"


# --- the whole story -----------------------------------------------------------------------------


def solve(task: Task, *, progress: bool, start_k: float | None = None) -> dict[str, Any]:
    """Sweep k, then fit it by gradient, from the best of the sweep or from `start_k`."""
    net, params = build_network(task)
    run = make_run(task, net)
    target_key, key = jax.random.split(jax.random.key(task.seed))
    target_fc = task.target_fc
    if target_fc is None:
        target = jax.jit(run)(at_strength(params, TRUE_K), target_key)
        target_fc = cf.functional_connectivity(target["x"])

    def measure_at(k):
        return measure(run(at_strength(params, k), key), target_fc)

    table = cf.sweep(measure_at, KS, chunk=8, progress=progress)
    table = {"k": np.asarray(KS), **{name: np.asarray(table[name]) for name in MEASURES}}
    n = len(task.connectome)
    solution = {"table": table, "target_fc": target_fc}
    solution["regimes"] = [name_regime(r, n) for r in table["synchrony"].tolist()]
    print_table(solution)
    if not np.isfinite(table["fc_rmse"]).any():
        raise FloatingPointError("Every run exploded: try a smaller --dt.")

    def loss(params):
        return measure(run(params, key), target_fc)["fc_rmse"]

    start_k = KS[np.nanargmin(table["fc_rmse"])].item() if start_k is None else start_k
    fit = cf.fit(
        loss,
        at_strength(params, start_k),
        where=lambda p: p.coupling.k,
        optimizer=optax.adam(optax.cosine_decay_schedule(FIT_RATE, FIT_STEPS)),
        steps=FIT_STEPS,
        transform=cf.positive(),
        progress=progress,
    )
    signals = jax.jit(run)(fit.params, key)
    solution |= {"fit": fit, "signals": signals, "measures": measure(signals, target_fc)}
    return solution


def print_table(solution: dict[str, Any]) -> None:
    """Print a line a strength."""
    print("\n       k  synchrony  metastability  FC correlation  FC rmse  regime")
    columns = ("k", "synchrony", "metastability", "fc_correlation", "fc_rmse")
    table = [solution["table"][name] for name in columns]
    for *row, regime in zip(*table, solution["regimes"], strict=True):
        print("{:8.4f}  {:9.3f}  {:13.3f}  {:14.3f}  {:7.3f}  {}".format(*row, regime))
    print()


def summarise(task: Task, solution: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Gather the numbers, as they go to result.json; what is not finite becomes None."""
    fit, target_fc = solution["fit"], solution["target_fc"]
    measures = {name: x.item() for name, x in solution["measures"].items()}
    columns = {name: column.tolist() for name, column in solution["table"].items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    structure = cf.fc_correlation(task.connectome.weights, target_fc)
    k = fit.params.coupling.k.item()
    summary = {
        "version": cf.__version__,
        "settings": settings,
        "regions": len(task.connectome),
        "true_k": TRUE_K if task.target_fc is None else None,
        "fit": {"k": k, **measures, "losses": fit.losses.tolist(), "path": fit.path.tolist()},
        "regime": name_regime(measures["synchrony"], len(task.connectome)),
        "structure_fc_correlation": structure.item(),
        "sweep": [row | {"regime": r} for row, r in zip(rows, solution["regimes"], strict=True)],
    }
    return jax.tree.map(
        lambda x: None if isinstance(x, float) and not math.isfinite(x) else x, summary
    )


def print_summary(summary: dict[str, Any]) -> None:
    """Print what came out, in a few lines."""
    fit, true_k = summary["fit"], summary["true_k"]
    ks = [row["k"] for row in summary["sweep"] if row["regime"] == "working range"]
    print(f"\nWorking range: {f'k = {ks[0]:.3g} to {ks[-1]:.3g}' if ks else 'none of these k'}")
    print(f"Fitted k = {fit['k']:.4f}, {summary['regime']}", end="")
    print(f"; the target was made at {true_k} ({fit['k'] / true_k - 1:+.1%})" if true_k else "")
    print(f"FC correlation {fit['fc_correlation']:.3f}, rmse {fit['fc_rmse']:.3f}", end="; ")
    print(f"of the weights alone: correlation {summary['structure_fc_correlation']:.3f}")


def draw(path: Path, task: Task, solution: dict[str, Any]) -> None:
    """Draw the report: both connectivities, the sweep with the fit on it, and the signals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 9), layout="constrained")
    axes = figure.subplots(2, 2)
    fit, table, x = solution["fit"], solution["table"], solution["signals"]["x"]
    k, reached = fit.params.coupling.k.item(), solution["measures"]["fc_correlation"]
    cf.plot_fc(solution["target_fc"], axes[0, 0], title="FC, target")
    title = f"FC, simulated at k = {k:.3g} (correlation {reached:.2f})"
    cf.plot_fc(cf.functional_connectivity(x), axes[0, 1], title=title)
    names = {"fc_rmse": "FC rmse", "fc_correlation": "FC correlation", "synchrony": "synchrony"}
    curves = {name: table[column] for column, name in names.items()}
    path_of_fit = {"fit": (fit.path, fit.losses)}
    cf.plot_sweep(table["k"], curves, axes[1, 0], best=k, fits=path_of_fit).set_title(
        "Sweep and fit"
    )
    shown = x[:200, :: max(1, x.shape[1] // 12)]
    every = task.dt * max(1, round(SAMPLE / task.dt))
    cf.plot_signals(every * np.arange(1, len(shown) + 1), shown, axes[1, 1])
    title = f"x of every {max(1, x.shape[1] // 12)}th region"
    axes[1, 1].set(title=title, ylabel="")
    axes[1, 1].set_yticks([])
    figure.savefig(path, dpi=100)


# --- the command line ----------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Run the whole story on what the command line asks for."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        task = make_task(options)
        options.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, TypeError, ImportError) as error:
        parser.error(" ".join(str(error).split()))
    named = options.connectome or "synthetic"
    print(f"Connectome: {named}, {len(task.connectome)} regions")
    print(f"Target FC: {options.target_fc or f'simulated at k = {TRUE_K}'}")
    try:
        solution = solve(task, progress=not options.quiet)
    except FloatingPointError as error:
        parser.exit(1, f"{error}\n")
    summary = summarise(task, solution, {name: str(x) for name, x in vars(options).items()})
    print_summary(summary)
    (options.out / "result.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"Wrote {options.out / 'result.json'}", end="")
    try:
        draw(options.out / "report.png", task, solution)
        print(f" and {options.out / 'report.png'}")
    except ImportError:
        print("; for the picture: pip install matplotlib")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> Any:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def make_parser() -> argparse.ArgumentParser:
    """Declare the options."""
    parser = Parser(prog="python -m coupling_fn", description="Sweep and fit k on a connectome.")
    add = parser.add_argument
    add("--connectome", metavar="FILE", help=".zip (TVB), .npz, .csv, ...; default: synthetic")
    add("--lengths", metavar="FILE", help="tract lengths [mm], if the connectome holds none")
    add("--target-fc", metavar="FILE", help=".npy, .npz (its `fc`) or .csv; default: simulated")
    add("--nodes", type=int, help="regions of the synthetic connectome (68)")
    add("--dt", type=float, default=1.0, help="time step [ms] (%(default)s)")
    add("--speed", type=float, default=10.0, help="conduction speed [mm/ms] (%(default)s)")
    add("--duration", type=float, default=20.0, help="of each run [s] (%(default)s)")
    add("--seed", type=int, default=0, help="of connectome and noise (%(default)s)")
    add("--out", type=Path, default=Path(), metavar="DIR", help="for result.json and report.png")
    add("--quiet", action="store_true", help="no progress bars")
    return parser


def make_task(options: argparse.Namespace) -> Task:
    """Read the files and check the numbers, before anything is simulated."""
    for name, most in [("dt", SAMPLE), ("speed", 1e6), ("duration", 1e6)]:
        if not 0 < getattr(options, name) <= most:
            raise ValueError(
                f"--{name} must be above 0 and up to {most:g}, not {getattr(options, name)}."
            )
    if options.connectome:
        if options.nodes is not None:
            raise ValueError(
                "--nodes is of the synthetic connectome; leave it or --connectome out."
            )
        connectome = cf.load_connectome(options.connectome, options.lengths)
        if connectome.lengths is None:
            raise ValueError(f"{options.connectome} holds no tract lengths: give --lengths FILE.")
    else:
        nodes = 68 if options.nodes is None else options.nodes
        if nodes < 3:
            raise ValueError(f"--nodes must be 3 or more, not {nodes}.")
        if options.lengths:
            raise ValueError("--lengths goes with --connectome.")
        connectome = cf.synthetic_connectome(nodes, jax.random.key(options.seed))
    target_fc = load_fc(Path(options.target_fc), len(connectome)) if options.target_fc else None
    duration = 1000 * options.duration
    return Task(connectome, target_fc, options.dt, options.speed, duration, options.seed)


def load_fc(path: Path, regions: int) -> jax.Array:
    """Read a functional connectivity of so many regions."""
    try:
        if path.suffix == ".npz":
            fc = np.load(path)["fc"]
        else:
            fc = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",")
        fc = jnp.asarray(fc, float)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"Cannot read {path} as functional connectivity: {error}") from error
    if fc.shape != (regions, regions):
        raise ValueError(
            f"{path} must be ({regions}, {regions}), as the connectome; it is {fc.shape}."
        )
    pairs = fc[jnp.triu_indices(regions, 1)]
    if not (jnp.abs(pairs) <= 1).all():
        raise ValueError(f"{path} must hold correlations in [-1, 1]; some are not.")
    return fc


if __name__ == "__main__":
    main()
