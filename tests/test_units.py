"""Units that do not fit are reported in words, and those that follow are derived."""

import dataclasses
import inspect
import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses
from jax import lax
from jax.experimental.sparse import BCOO

import coupling_fn as cf
from coupling_fn._core._units import Quantity, Solver, read_unit, write_unit
from coupling_fn._diagnose._dimensions import Misfit, units_of

N = 3
W = jnp.asarray([[0.0, 1.0, 0.5], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
ONES = jnp.ones(N)


def parts_of(name):
    """Return a node of the catalog with its parameters and a state."""
    node = cf.nodes.catalog()[name]
    return node, node.Params(), node.State(*[ONES] * len(node.states))


def checked(name, coupling, units=None, **options):
    node, params, x = parts_of(name)
    lags = options.pop("lags", None)
    net = cf.Network(node, 0.1, lags=lags)
    return cf.check_units(net, cf.Params(params, coupling, **options), x, units=units)


# --- what units are -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("mV/ms", "mV/ms"),
        ("kHz", "1/ms"),
        ("Hz", "10^-3 1/ms"),
        ("1/(mV ms)", "1/(mV ms)"),
        ("1/mV/ms", "1/(mV ms)"),
        ("m/s", "mm/ms"),
        ("nA*ms / mV", "nA ms/mV"),
        ("ms^-0.5", "1/ms^0.5"),
        ("(mV/ms)^2", "mV^2/ms^2"),
        ("nS mV", "10^-3 nA"),
        ("pA", "10^-3 nA"),
        ("rad/ms", "1/ms"),
        ("1", "1"),
        ("kHz ms", "1"),
    ],
)
def test_a_unit_is_read_and_written(text, written):
    unit = read_unit(text)
    assert write_unit(unit) == written
    assert written.startswith("10^") or read_unit(written) == unit


@pytest.mark.parametrize("text", ["", "mV/", "mX", "2 mV", "mV ms)", "(mV", "mV^x", "mV$", "V^"])
def test_what_is_no_unit_is_refused(text):
    with refuses(rf"The unit of `v` must be one such as .* not {re.escape(repr(text))}: "):
        cf.nodes.node(states={"v": text}, inputs=[])


def test_unknown_units_are_solved_for():
    """2a + b = mV, a - b = ms: a third each."""
    solver = Solver()
    a, b = solver.unknown(), solver.unknown()
    (i,), (j,) = a, b
    third, minus = Fraction(1, 3), Fraction(-1)
    assert solver.agree({i: Fraction(2), j: -minus}, read_unit("mV"))
    assert solver.agree({i: -minus, j: minus}, read_unit("ms"))
    for unit, wanted in ((a, {"V": third, "s": third}), (b, {"V": third, "s": -2 * third})):
        found = solver.value(unit)
        assert {base: found[base] for base in ("V", "s")} == wanted
    assert not solver.agree(a, b) and solver.agree(a, {i: Fraction(1)})


# --- the library's own ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", cf.nodes.catalog())
def test_a_node_fits_with_itself(name):
    node = cf.nodes.catalog()[name]
    report = checked(name, cf.AdditiveCoupling(W), noise=0.1)
    assert not report.findings, f"\n{report}"
    assert set(report.facts) >= {"coupling.conn", "coupling.b"}
    for unit in node.implied:  # without it the unit is not found
        without = cf.nodes.node(states=node.state_units, inputs=node.input_units)(
            lambda *args: cf.nodes.catalog()[name](*args)
        )
        _, params, x = parts_of(name)
        report = cf.check_units(
            cf.Network(without, 0.1), cf.Params(params, cf.AdditiveCoupling(W)), x
        )
        assert report.codes == ("units",) and unit in str(report), f"\n{report}"


def documented(of):
    """Return the units in a docstring, by the name of what has them."""
    told, name = {}, None
    for line in inspect.getdoc(of).partition("Example:")[0].splitlines():
        if found := re.match(r"    (\w+): ", line):
            name = found.group(1)
        for unit in re.findall(r"\[([^\]]+)\]", line) if name else ():
            told.setdefault(name, []).append(unit)
    return told


def test_docstrings_say_the_units_that_the_code_has():
    count = 0
    for name, node in cf.nodes.catalog().items():
        said = documented(node)
        assert set(said["state"]) == set(node.state_units.values()), name
        assert set(said["inputs"]) == set(node.input_units.values()), name
        _, params, _ = parts_of(name)
        told = documented(type(params))
        for field in dataclasses.fields(params):
            count += 1
            assert told[field.name] == [field.metadata["unit"]], f"{name}.{field.name}"
    kinds = [
        x
        for x in vars(cf.stimuli).values()
        if isinstance(x, type) and x not in (cf.stimuli.Sum, cf.stimuli.Time)
    ]
    assert {cf.stimuli.PulseTrain, cf.stimuli.Sine, cf.stimuli.Ramp, cf.stimuli.Step} <= {*kinds}
    for kind in kinds:
        for field in dataclasses.fields(kind):
            if unit := field.metadata.get("unit"):
                count += 1
                assert documented(kind)[field.name] == [unit]
    told = documented(cf.SigmoidalJansenRitCoupling)
    for field in dataclasses.fields(cf.SigmoidalJansenRitCoupling):
        if field.name != "conn":
            assert told[field.name] == [field.metadata["unit"]]
    assert count > 150


RULES = [cf.DiffusiveCoupling, cf.AdditiveCoupling, cf.SigmoidalCoupling, cf.PreSigmoidalCoupling]
RULES += [cf.HyperbolicTangentCoupling]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_fits_over_every_connection(rule):
    wanted = "ms" if rule in (cf.DiffusiveCoupling, cf.AdditiveCoupling) else None
    for conn in (W, cf.to_sparse(W), BCOO.fromdense(W)):
        for lags in (None, 3):
            report = checked("montbrio_pazo_roxin", rule(conn), lags=lags)
            assert not report.findings, f"\n{report}"
            unit = next(unit for path, unit in report.facts.items() if "conn" in path)
            # Where a rule squashes what it sends, or the sum, its parameters share the unit.
            assert unit == wanted or (wanted is None and "?" in unit)


def test_rules_that_are_not_separable_and_sums_and_functions_of_the_state():
    edges = cf.EdgeCoupling(lambda s, t, a: a * (s - t) ** 2, W, a=1.0)
    report = checked("hopf", edges, units={"coupling.conn": "1"})
    assert report.facts["coupling.parameters.a"] == "1/ms" and not report.findings

    def fn(source, target, conn, k, threshold):
        return k * cf.weighted_sum(conn, jnp.where(source > threshold, source, 0.0))

    report = checked("jansen_rit", cf.CustomCoupling(fn, W, threshold=2.0))
    assert report.facts == {"coupling.conn": "1/(mV ms)", "coupling.parameters.threshold": "mV"}
    rule = cf.SigmoidalJansenRitCoupling(W)
    assert checked("jansen_rit", rule).facts == {"coupling.conn": "1"}
    assert checked("kuramoto", cf.KuramotoCoupling(W)).facts == {"coupling.conn": "1/ms"}
    both = checked("jansen_rit", rule + cf.AdditiveCoupling(W))
    assert both.facts["coupling.parts.0.conn"] == "1"
    assert both.facts["coupling.parts.1.conn"] == "1/(mV ms)" and not both.findings


def test_what_varies_in_time():
    sine = cf.stimuli.Sine(0.1, frequency=10.0) + cf.stimuli.PulseTrain(0.3, width=5.0, rise=1.0)
    report = checked("jansen_rit", cf.AdditiveCoupling(W), external={"y4": sine})
    assert not report.findings, f"\n{report}"
    assert {report.facts[path] for path in report.facts if "amplitude" in path} == {"1/ms"}
    report = checked("jansen_rit", cf.AdditiveCoupling(W), noise={"y0": 0.1, "y3": 0.2})
    assert (report.facts["noise.y0"], report.facts["noise.y3"]) == ("mV/ms^0.5", "mV/ms^1.5")


# --- what does not fit ----------------------------------------------------------------------------


@cf.nodes.node(states={"v": "mV", "w": "mV"}, inputs={"v": "mV/ms"})
def membrane(state, inputs, params):
    return {
        "v": -state["v"] / params["tau"] + inputs["v"],
        "w": (state["v"] - state["w"]) / params["tau"],
    }


@cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV/ms"})
def forgetful(state, inputs, params):
    return {"v": -state["v"] + inputs["v"]}


@cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV"})
def undivided(state, inputs, params):
    return {"v": inputs["v"] - state["v"]}


@cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV/ms"})
def exponential(state, inputs, params):
    return {"v": jnp.exp(state["v"] - params["theta"]) * 1.0 + inputs["v"]}


@cf.nodes.node(states={"v": "mV"}, inputs={"v": "mV/ms"})
def thresholded(state, inputs, params):
    fired = jnp.where(state["v"] > 30.0, 0.0, state["v"])
    return {"v": -fired / params["tau"] + inputs["v"]}


def own(node, coupling=None, units=None, params=None, wire=None, lag_bounds=None, **options):
    net = cf.Network(node, 0.1, couplings=wire, lag_bounds=lag_bounds)
    params = {"tau": ONES, "theta": ONES} if params is None else params
    params = cf.Params(params, cf.AdditiveCoupling(W) if coupling is None else coupling, **options)
    return cf.check_units(net, params, dict.fromkeys(node.states, ONES), units=units)


LENGTHS = {"lengths": 10.0 * W, "speed": 3.0, "lag_bounds": (0, 400)}
TWO = {"fast": cf.Wire("v", "v"), "slow": cf.Wire("w", "v")}

MISFITS = {
    "weights without a unit onto a rate": (
        lambda: own(membrane, units={"coupling.conn": "1"}),
        "The coupling from v gives mV; the input v of membrane wants mV/ms.",
    ),
    "k in 1/s": (
        lambda: own(membrane, units={"coupling.conn": "1", "coupling.k": "1/s"}),
        "The coupling from v gives 10^-3 mV/ms; the input v of membrane wants mV/ms.",
    ),
    "one of two couplings": (
        lambda: own(
            membrane,
            dict.fromkeys(TWO, cf.AdditiveCoupling(W)),
            wire=TWO,
            units={"coupling.slow.conn": "1/mV"},
        ),
        "The coupling 'slow' from w gives 1; the input v of membrane wants mV/ms.",
    ),
    "potentials in a rule of phases": (
        lambda: own(membrane, cf.KuramotoCoupling(W)),
        "In the coupling from v, `sin(source - target)` takes an argument in mV, which must "
        "be a pure number.",
    ),
    "a number in a rule of potentials": (
        lambda: checked("hopf", cf.SigmoidalJansenRitCoupling(W)),
        "In the coupling from x, `source - coupling.midpoint` mixes 1 with mV: `source` is in 1, "
        "`coupling.midpoint` in mV.",
    ),
    "a threshold in V": (
        lambda: own(
            membrane,
            cf.EdgeCoupling(lambda s, t, at: jnp.where(s > at, s, 0.0), W, at=0.1),
            units={"coupling.parameters.at": "V"},
        ),
        "In the coupling from v, `source > coupling.parameters.at` mixes mV with 10^3 mV: `source` "
        "is in mV, `coupling.parameters.at` in 10^3 mV.",
    ),
    "external input in mV": (
        lambda: own(membrane, external={"v": ONES}, units={"external.v": "mV"}),
        "The external input to v is in mV; the node wants mV/ms.",
    ),
    "a stimulus in mV": (
        lambda: own(
            membrane,
            external={"v": cf.stimuli.Sine(2.0)},
            units={"external.v.amplitude": "mV"},
        ),
        "The external input to v is in mV; the node wants mV/ms.",
    ),
    "an onset in s": (
        lambda: own(
            membrane, external={"v": cf.stimuli.Step(2.0)}, units={"external.v.onset": "s"}
        ),
        "In the external input to v, `time - external.v.onset` mixes ms with 10^3 ms",
    ),
    "noise as a standard deviation of the state": (
        lambda: own(membrane, noise=0.1, units={"noise": "mV"}),
        "The noise of v is in mV; the standard deviation of white noise on it is in mV/ms^0.5.",
    ),
    "lengths in m": (
        lambda: own(membrane, units={"lengths": "m"}, **LENGTHS),
        "lengths / speed is in 10^3 ms; dt is in ms.",
    ),
    "speed in mm/s": (
        lambda: own(membrane, units={"speed": "mm/s"}, **LENGTHS),
        "lengths / speed is in 10^3 ms; dt is in ms.",
    ),
    "a time constant in s": (
        lambda: own(membrane, units={"node.tau": "s"}),
        "In the node membrane, `-v / node.tau + inputs.v` mixes 10^-3 mV/ms with mV/ms: `-v / "
        "node.tau` is in 10^-3 mV/ms, `inputs.v` in mV/ms.",
    ),
    "a node without its time constant": (
        lambda: own(forgetful),
        "In the node forgetful, `-v + inputs.v` mixes mV with mV/ms: `-v` is in mV, `inputs.v` in "
        "mV/ms.",
    ),
    "a node that gives no rate": (
        lambda: own(undivided),
        "The node undivided gives a rate of change of v in mV; v is in mV, so it should be in mV/ms.",
    ),
    "an exponential of a potential": (
        lambda: own(exponential),
        "In the node exponential, `exp(v - node.theta)` takes an argument in mV, which must "
        "be a pure number.",
    ),
    "a bare number for a potential": (
        lambda: own(thresholded),
        "In the node thresholded, `v > 30` mixes mV with 1: `v` is in mV, `30` in 1.",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_is_told_first(name):
    make, told = MISFITS[name]
    report = make()
    first = report.findings[0]
    assert told in first.what, f"\n{report}"
    assert (first.code, first.severity) == ("units", "error") and first.remedy


def test_what_a_misfit_is_a_misfit_of_fits_when_it_is_said():
    assert not own(membrane, units={"coupling.conn": "1", "coupling.k": "kHz"}).findings
    assert not own(membrane, units={"lengths": "m", "speed": "mm/us"}, **LENGTHS).findings
    assert not own(membrane, noise=0.1, units={"noise": "mV/ms^0.5"}).findings
    assert own(membrane).facts["node.tau"] == "ms"


def test_wrong_arguments_are_refused():
    with refuses(r"There is no leaf of params 'coupling\.con'; .* Did you mean 'coupling\.conn'"):
        own(membrane, units={"coupling.con": "1"})
    with refuses("The unit of `coupling.k` must be one such as"):
        own(membrane, units={"coupling.k": "per ms"})
    mute = cf.nodes.node(states=["v"], inputs=["v"])(lambda state, inputs, params: state)
    with refuses("`net.node` must state the units of its states and inputs"):
        own(mute)
    with refuses(r"`x0` must have the states \('v', 'w'\); \['w'\] are missing"):
        net = cf.Network(membrane, 0.1)
        cf.check_units(net, cf.Params({"tau": 1.0}, cf.AdditiveCoupling(W)), {"v": ONES})


# --- the walk -------------------------------------------------------------------------------------


@jax.custom_jvp
def own_jvp(x, y):
    return x + y


own_jvp.defjvp(lambda primals, tangents: (own_jvp(*primals), tangents[0]))


@jax.custom_vjp
def own_vjp(x, y):
    return x + y


own_vjp.defvjp(lambda x, y: (x + y, None), lambda _, g: (g, g))


def branched(x, y):
    return lax.cond(True, lambda x, y: x + y, lambda x, y: x, x, y)


def scanned(x, y):
    return lax.scan(lambda total, row: (total + row, None), jnp.zeros_like(x), jnp.stack([x, y]))[0]


def looped(x, y):
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + y), (0, x))[1]


def sorted_and_cut(x, y):
    return jnp.clip(jnp.sort(jnp.concatenate([x, y]))[:N], 0.0, None) * jnp.ones(N)


SUMS = {
    "plain": lambda x, y: x + y,
    "jit": jax.jit(lambda x, y: x + y),
    "vmap": jax.vmap(lambda x, y: x + y),
    "checkpoint": jax.checkpoint(lambda x, y: x + y),
    "custom_jvp": own_jvp,
    "custom_vjp": own_vjp,
    "cond": branched,
    "scan": scanned,
    "while": looped,
    "sort": sorted_and_cut,
    "where": lambda x, y: jnp.where(x > y, x, 0.0),
    "at": lambda x, y: x.at[0].set(y[1]).at[2].add(y[0]),
    "segments": lambda x, y: jax.ops.segment_sum(x + y, jnp.array([0, 0, 2]), N),
    "powers": lambda x, y: jnp.sqrt(x**2 + y * y) + (x**4) ** 0.25,
    "reductions": lambda x, y: jnp.max(x) + jnp.cumsum(y) - jnp.mean(x),
    "matmul": lambda x, y: W @ x + jnp.eye(N) @ y,
    "derivative": lambda x, y: jax.grad(lambda x: (x * x + y * y).sum())(x),
    "division": lambda x, y: x * jnp.exp(-x / y) + y * jnp.tanh(y / x),
}


@pytest.mark.parametrize("name", SUMS)
def test_the_walk_follows(name):
    def units(x, y):
        solver = Solver()
        given = tuple(Quantity(read_unit(unit), word) for unit, word in ((x, "x"), (y, "y")))
        (result,) = units_of(solver, SUMS[name], 2 * ONES, ONES, units=given)
        return write_unit(solver.value(result.unit))

    assert units("mV", "mV") == "mV"
    with pytest.raises(Misfit):
        units("mV", "V")


def test_numbers_are_not_looked_at():
    nan = jnp.full(N, np.nan)
    given = (Quantity(read_unit("mV"), "x"),)
    assert units_of(Solver(), lambda x: 2 * x, nan, units=given)[0].unit == read_unit("mV")
    with pytest.raises(Misfit, match=r"`log\(x\)` takes an argument in mV"):
        units_of(Solver(), jnp.log, ONES, units=given)
