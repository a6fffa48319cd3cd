"""Every rule against scalar loops, and what holds of a rule for all inputs."""

import dataclasses
import inspect
import itertools
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from jax.test_util import check_grads
from strategies import DIRECTED, directed, networks, weights

import coupling_fn as cf

# class, function, oracle, reads the target, parameters unlike the defaults
RULES = {
    "diffusive": (cf.DiffusiveCoupling, cf.diffusive_coupling, oracle.diffusive, True, {}),
    "additive": (cf.AdditiveCoupling, cf.additive_coupling, oracle.additive, False, {"b": 0.3}),
    "sigmoidal": (
        cf.SigmoidalCoupling,
        cf.sigmoidal_coupling,
        oracle.sigmoidal,
        False,
        {"cmin": -0.4, "cmax": 1.7, "midpoint": 0.3, "a": 1.4, "sigma": 0.9},
    ),
    "hyperbolic tangent": (
        cf.HyperbolicTangentCoupling,
        cf.hyperbolic_tangent_coupling,
        oracle.hyperbolic_tangent,
        False,
        {"a": 0.4, "b": 1.3, "midpoint": -0.2, "sigma": 0.8},
    ),
    "Jansen-Rit": (
        cf.SigmoidalJansenRitCoupling,
        cf.sigmoidal_jansen_rit_coupling,
        oracle.sigmoidal_jansen_rit,
        False,
        {"cmin": 0.1, "cmax": 1.2, "midpoint": 0.4, "r": 1.7},
    ),
    "pre-sigmoidal": (
        cf.PreSigmoidalCoupling,
        cf.pre_sigmoidal_coupling,
        oracle.pre_sigmoidal,
        False,
        {"H": 0.7, "Q": 1.2, "G": 1.9, "P": 1.1, "theta": 0.2},
    ),
    "Kuramoto": (cf.KuramotoCoupling, cf.kuramoto_coupling, oracle.kuramoto, True, {}),
}
# Rules that read their own parameters in `receive`, where they may be per target. They give something
# without an edge, too: b, or the sigmoid of 0.
READ_IN_RECEIVE = ("additive", "sigmoidal")
# The table of defaults, from The Virtual Brain's couplings.
DEFAULTS = {
    "diffusive": {},
    "additive": {"b": 0},
    "sigmoidal": {"cmin": -1, "cmax": 1, "midpoint": 0, "a": 1, "sigma": 230},
    "hyperbolic tangent": {"a": 1, "b": 1, "midpoint": 0, "sigma": 1},
    "Jansen-Rit": {"cmin": 0, "cmax": 0.005, "midpoint": 6, "r": 0.56},
    "pre-sigmoidal": {"H": 0.5, "Q": 1, "G": 60, "P": 1, "theta": 0.5},
    "Kuramoto": {},
}
RNG = np.random.default_rng(3)
TARGETS, SOURCES = 4, 5
CONN = directed(TARGETS, SOURCES)
STATES = {
    "one source": RNG.normal(size=SOURCES),
    "a source for each target": RNG.normal(size=(TARGETS, SOURCES)),
}
OWN = RNG.normal(size=TARGETS)
FEW = settings(max_examples=5)
STRENGTHS = {"one k": np.array(1.7), "a k for each target": np.array([0.5, -1.0, 2.0, 3.0])}
FORMS = {"dense": jnp.asarray, "BCOO": lambda conn: BCOO.fromdense(jnp.asarray(conn))}


def taken_apart(form, conn):
    """Return the weights of a connection, on which transforms act, and how to put it together."""
    conn = FORMS[form](conn)
    if form == "dense":
        return conn, lambda values: values
    return conn.data, lambda values: BCOO((values, conn.indices), shape=conn.shape)


def call(name, source, target, conn, k, **parameters):
    """Call the rule as a function, with the target where it reads it."""
    _, function, _, reads_target, _ = RULES[name]
    states = (source, target) if reads_target else (source,)
    return function(*states, conn, k, **parameters)


@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", RULES)
def test_rule_is_its_formula(name, form, dtype):
    parameters = RULES[name][4]
    conn = CONN.astype(dtype)
    values, whole = taken_apart(form, conn)

    def rule_of(source, target, values, k):
        return call(name, source, target, whole(values), k, **parameters)

    # Both in one jitted program: alone, and through vmap.
    jitted = jax.jit(
        lambda *args: [TRANSFORMS[t](rule_of)(*args) for t in ("eager", "jit of vmap")]
    )
    for source, k in zip(STATES.values(), STRENGTHS.values(), strict=True):
        source, target, k = (x.astype(dtype) for x in (source, OWN, k))
        args = [jnp.asarray(x) for x in (source, target, values, k)]
        rule = RULES[name][2](k, **parameters)
        wanted = oracle.couple(rule, conn, source, target)
        transposed = oracle.couple(rule, conn[:, :4].T, source[..., :4], target)
        for got in (rule_of(*args), *jitted(*args)):
            assert got.dtype == dtype
            assert_close(got, wanted, ulps=64)
            assert np.abs(np.asarray(got) - transposed).max() > 0.1


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
def test_defaults_are_those_of_the_table(name):
    cls, function, rule, reads_target, _ = RULES[name]
    coupling = cls(CONN)
    numbers = {field: value for field, value in vars(coupling).items() if field != "conn"}
    assert numbers == pytest.approx({"k": 1.0, **DEFAULTS[name]}, abs=0)
    source = 6 * STATES["one source"]
    states = (source, OWN) if reads_target else (source,)
    wanted = oracle.couple(rule(), CONN, source, OWN)
    assert_close(function(*map(jnp.asarray, states), CONN), wanted, ulps=64)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_class_is_the_function(name, form):
    cls, _, _, _, parameters = RULES[name]
    coupling = cls(conn=FORMS[form](CONN), k=0.7, **parameters)
    source = jnp.asarray(STATES["one source"])
    wanted = call(name, source, jnp.asarray(OWN), FORMS[form](CONN), 0.7, **parameters)
    assert (coupling(source, jnp.asarray(OWN)) == wanted).all()
    if not RULES[name][3]:
        assert (coupling(source) == wanted).all()


@pytest.mark.parametrize("name", RULES)
def test_class_docstring_has_formula_source_and_a_line_with_a_unit_per_argument(name):
    cls, function = RULES[name][:2]
    doc = inspect.getdoc(cls)
    assert doc.partition("Args:")[0].count("$c_i = k ") == 1
    for section in ("Raises:", "Source:", "Example:"):
        assert f"\n{section}\n" in doc
    listed = doc.partition("Args:\n")[2].partition("\n\n")[0]
    lines = re.findall(r"^    (\w+): [^\[]*(?:\[i, j\][^\[]*)?\[[^\]]+\]$", listed, re.MULTILINE)
    assert lines == [field.name for field in dataclasses.fields(cls)]
    assert f"See `{cls.__name__}`" in inspect.getdoc(function)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
def test_every_parameter_is_a_leaf_and_none_is_static(name):
    cls, _, _, _, parameters = RULES[name]
    coupling = cls(jnp.asarray(CONN), k=2, **parameters)  # a whole k is a float as well
    leaves = jax.tree.leaves(coupling)
    assert len(leaves) == 2 + len(parameters)
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == "float64" for leaf in leaves)


@pytest.mark.parametrize("name", RULES)
def test_parameters_of_send_are_scalars_and_those_of_receive_may_be_per_target(name):
    cls, _, _, _, parameters = RULES[name]
    shapes = [(1,), (SOURCES,), (TARGETS, 1), CONN.shape]
    if name in READ_IN_RECEIVE:
        assert all(getattr(cls(CONN, **{p: np.ones(TARGETS)}), p).shape for p in parameters)
    else:
        shapes.append((TARGETS,))
    for parameter, shape in itertools.product(parameters, shapes):
        with refuses(rf"`{parameter}` must have shape \(\)", ValueError):
            cls(CONN, **{parameter: np.ones(shape)})


def test_signatures_of_the_tutorial_hold():
    conn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    x = jnp.array([0.0, 2.0])
    assert cf.DiffusiveCoupling(conn=conn, k=0.5)(x, x).tolist() == [1.0, 0.0]
    assert cf.AdditiveCoupling(conn=conn, k=0.5)(x).tolist() == [1.0, 0.0]


def test_integer_weights_are_converted():
    x = jnp.array([1.0, 2.0])
    for conn in (
        np.array([[0, 3], [1, 0]]),
        [[0, 3], [1, 0]],
        BCOO.fromdense(np.eye(2, dtype=int)),
    ):
        coupling = cf.AdditiveCoupling(conn)
        assert jnp.issubdtype(coupling.conn.dtype, jnp.floating)
    assert cf.AdditiveCoupling(np.array([[0, 3], [1, 0]]))(x).tolist() == [6.0, 1.0]


def test_k_and_conn_of_float32_stay_float32():
    coupling = cf.DiffusiveCoupling(jnp.asarray(CONN[:, :4], jnp.float32), k=0.5)
    x = jnp.ones(4, jnp.float32)
    assert coupling(x, x).dtype == jnp.float32


# --- what holds for all inputs ----------------------------------------------------------------------


@eqx.filter_jit
def run(coupling, source, target):
    return coupling(source, target)


def build(name, conn, k):
    return RULES[name][0](jnp.asarray(conn), k=jnp.asarray(k), **RULES[name][4])


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
@FEW
@given(network=networks(), data=st.data())
@example(network=DIRECTED, data=None)
def test_rule_is_blind_to_the_order_of_regions(name, network, data):
    source, target, conn, k = network
    n = len(k)
    order = np.roll(np.arange(n), 1) if data is None else data.draw(st.permutations(range(n)))
    order = np.array(order, int)
    wanted = run(build(name, conn, k), source, target)[order]
    got = run(build(name, conn[np.ix_(order, order)], k[order]), source[order], target[order])
    assert_close(got, wanted, ulps=64, scale=50.0)  # terms of up to 5 · 3 · 6 cancel


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
@FEW
@given(network=networks())
@example(network=DIRECTED)
def test_rule_is_linear_in_k(name, network):
    source, target, conn, k = network

    def coupled(k):
        coupling = build(name, conn, k)
        if name == "additive":  # its b is not scaled
            coupling = eqx.tree_at(lambda c: c.b, coupling, jnp.asarray(0.0))
        return run(coupling, source, target)

    assert (coupled(0 * k) == 0).all()
    assert_close(coupled(3 * k), 3 * coupled(k), ulps=16, scale=300.0)


@given(network=networks(), other=networks())
@example(network=DIRECTED, other=DIRECTED)
def test_additive_is_linear_in_its_source(network, other):
    source, target, conn, k = network
    second = np.resize(other[0], len(source))
    coupling = cf.AdditiveCoupling(jnp.asarray(conn), jnp.asarray(k))
    parts = 2 * run(coupling, source, target) - 3 * run(coupling, second, target)
    assert_close(run(coupling, 2 * source - 3 * second, target), parts, ulps=16, scale=500.0)


@eqx.filter_jit
def run_all(couplings, sources, target):
    return [coupling(source, target) for coupling in couplings for source in sources]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["diffusive", "Kuramoto"])
@FEW
@given(network=networks())
@example(network=DIRECTED)
def test_synchrony_is_exactly_still(name, dtype, network):
    _, _, conn, k = network
    same = np.full(len(k), -65.3, dtype)
    conn, k = conn.astype(dtype), jnp.asarray(k.astype(dtype))
    padded = BCOO.fromdense(conn, nse=conn.size)  # one size: one compilation
    couplings = [RULES[name][0](form, k) for form in (jnp.asarray(conn), padded)]
    sources = [same, np.broadcast_to(same, conn.shape)]
    assert all((np.asarray(x) == 0).all() for x in run_all(couplings, sources, same))


@given(network=networks())
@example(network=DIRECTED)
def test_diffusive_conserves_the_sum_on_symmetric_weights(network):
    x, _, conn, k = network
    symmetric = conn + conn.T
    total = run(build("diffusive", symmetric, k[0]), x, x).sum()
    assert abs(total) <= 64 * np.finfo(float).eps * 500  # 25 terms of up to 3 · 6 · 6


@given(network=networks())
@example(network=DIRECTED)
def test_diffusive_is_minus_k_times_the_laplacian(network):
    x, _, conn, k = network
    laplacian = np.diag(conn.sum(axis=1)) - conn
    assert_close(run(build("diffusive", conn, k), x, x), -k * (laplacian @ x), ulps=64, scale=100.0)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
@FEW
@given(data=st.data())
def test_absent_edges_add_nothing(name, data):
    conn = data.draw(weights(5))
    source, target, _, k = DIRECTED
    coupled = run(build(name, conn, k), source, target)
    sparse = RULES[name][0](BCOO.fromdense(conn, nse=25), jnp.asarray(k), **RULES[name][4])
    assert_close(run(sparse, source, target), coupled, ulps=64, scale=50.0)
    alone = (conn == 0).all(axis=1)
    nothing = run(build(name, np.zeros((5, 5)), k), source, target)
    assert (coupled == nothing)[alone].all()
    if name not in READ_IN_RECEIVE:
        assert (nothing == 0).all()


@pytest.mark.thorough
def test_float32_diffusive_keeps_its_digits_near_synchrony():
    rng = np.random.default_rng(0)
    conn = rng.random((90, 90)).astype(np.float32)
    x = (-65 + 1e-3 * rng.normal(size=90)).astype(np.float32)
    wanted = oracle.couple(oracle.diffusive(), conn, x, x)
    for form in FORMS.values():
        got = cf.diffusive_coupling(jnp.asarray(x), jnp.asarray(x), form(conn))
        assert np.abs(np.asarray(got) - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_rules_have_exact_gradients_forward_and_reverse():
    """Call all in one function, which compiles sooner, and return their results apart."""
    source, target = jnp.asarray(STATES["one source"][:3]), jnp.asarray(OWN[:3])
    k = jnp.linspace(0.5, 1.0, 3)
    rules = [rule[0](CONN[:3, :3], k, **rule[4]) for rule in RULES.values()]
    leaves, tree = jax.tree.flatten(rules)

    def coupled(source, target, *leaves):
        return [rule(source, target) for rule in jax.tree.unflatten(tree, leaves)]

    check_grads(jax.jit(coupled), (source, target, *leaves), order=2, modes=("fwd", "rev"))


def test_gradient_reaches_every_sparse_weight():
    source, target, conn, k = map(jnp.asarray, DIRECTED)

    def slope(form):
        values, whole = taken_apart(form, conn)
        square = lambda values: (cf.KuramotoCoupling(whole(values), k)(source, target) ** 2).sum()
        return whole(jax.jit(jax.grad(square))(values))

    dense, sparse = slope("dense"), slope("BCOO")
    assert_close(sparse.data, dense[tuple(sparse.indices.T)], ulps=64)


@pytest.mark.every(2)
@pytest.mark.parametrize("name", RULES)
def test_many_values_of_k_compile_once(name):
    coupled = eqx.filter_jit(eqx.debug.assert_max_traces(lambda c, s, t: c(s, t), max_traces=1))
    for k in (0.0, 0.5, 1, 2.5):
        coupled(RULES[name][0](CONN, k=k), STATES["one source"], OWN)


def test_vmap_over_k_is_a_loop():
    source, target, conn, _ = map(jnp.asarray, DIRECTED)
    ks = jnp.linspace(-1.0, 2.0, 4)
    batched = jax.vmap(lambda k: cf.kuramoto_coupling(source, target, conn, k))(ks)
    for k, got in zip(ks, batched, strict=True):
        assert_close(got, cf.kuramoto_coupling(source, target, conn, k), ulps=16)


# --- sums, and rules of one's own -------------------------------------------------------------------


def test_feedforward_and_feedback_add_up():
    source, target = jnp.asarray(STATES["one source"]), jnp.asarray(OWN)
    ff = cf.AdditiveCoupling(CONN, k=0.3, b=0.1)
    fb = cf.DiffusiveCoupling(directed(4, 5, seed=9), k=jnp.array([1.0, 2.0, 3.0, 4.0]))
    third = cf.CustomCoupling(lambda s, t, conn, k: k * cf.weighted_sum(conn, s**2), CONN, k=2.0)
    for both in (ff + fb + third, ff + (fb + third)):
        assert isinstance(both, cf.SumCoupling)
        assert [type(part) for part in both.parts] == [type(ff), type(fb), type(third)]
        parts = ff(source, target) + fb(source, target) + third(source, target)
        assert_close(both(source, target), parts, ulps=8)
    stronger = eqx.tree_at(lambda c: c.parts[0].k, ff + fb, jnp.asarray(0.6))
    gain = stronger(source, target) - (ff + fb)(source, target)
    assert_close(gain, ff(source) - 0.1, ulps=64)


def threshold_coupling(source, target, conn, k, threshold=0.5):
    """The tutorial's rule, summed so that delays and sparse weights work."""
    return k * cf.weighted_sum(conn, jnp.where(source > threshold, source, 0.0))


@pytest.mark.every(5)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("source", STATES)
@pytest.mark.parametrize("form", FORMS)
def test_custom_rule_is_its_formula(form, source, transform):
    source = jnp.asarray(STATES[source])
    values, whole = taken_apart(form, CONN)

    def coupled(source, target, values, k, threshold):
        rule = cf.CustomCoupling(threshold_coupling, whole(values), k, threshold=threshold)
        return rule(source, target)

    got = TRANSFORMS[transform](coupled)(
        source, jnp.asarray(OWN), values, jnp.asarray(0.8), jnp.asarray(0.2)
    )
    wanted = oracle.couple(oracle.above_threshold(0.8, 0.2), CONN, source, OWN)
    assert_close(got, wanted, ulps=32)


def test_custom_rule_need_not_read_its_target():
    coupling = cf.CustomCoupling(threshold_coupling, CONN, k=2.0)
    source = jnp.asarray(STATES["one source"])
    assert (coupling(source) == coupling(source, jnp.asarray(OWN))).all()


def test_parameters_of_a_custom_rule_are_leaves():
    coupling = cf.CustomCoupling(threshold_coupling, CONN, k=2, threshold=1)
    assert coupling.parameters["threshold"].dtype == "float64"
    assert len(jax.tree.leaves(coupling)) == 3


@pytest.mark.every(3)
@pytest.mark.parametrize("source", STATES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["diffusive", "Kuramoto", "hyperbolic tangent"])
def test_edge_rule_equals_the_separable_one(name, form, source):
    edge = {
        "diffusive": lambda s, t: s - t,
        "Kuramoto": lambda s, t: jnp.sin(s - t),
        "hyperbolic tangent": lambda s, t, a, b, midpoint, sigma: (
            a * (1 + jnp.tanh((b * s - midpoint) / sigma))
        ),
    }[name]
    k = jnp.asarray(STRENGTHS["a k for each target"])
    coupling = cf.EdgeCoupling(edge, FORMS[form](CONN), k, **RULES[name][4])
    source, target = jnp.asarray(STATES[source]), jnp.asarray(OWN)
    wanted = call(name, source, target, CONN, k, **RULES[name][4])
    assert_close(coupling(source, target), wanted, ulps=64)


@pytest.mark.every(2)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("form", FORMS)
def test_edge_rule_is_its_formula(form, transform):
    values, whole = taken_apart(form, CONN)

    def coupled(source, target, values, gain):
        edge = lambda s, t, gain: gain * jnp.tanh(s * t)
        return cf.EdgeCoupling(edge, whole(values), 1.5, gain=gain)(source, target)

    args = jnp.asarray(STATES["one source"]), jnp.asarray(OWN), values, jnp.asarray(0.7)
    wanted = oracle.couple(oracle.product(1.5, 0.7), CONN, args[0], OWN)
    assert_close(TRANSFORMS[transform](coupled)(*args), wanted, ulps=32)


@pytest.mark.parametrize("form", FORMS)
def test_edge_rule_is_not_asked_about_absent_edges(form):
    """1 / (s - t) is infinite on the diagonal, where no region is connected to itself."""
    conn = np.array([[0.0, 2.0], [4.0, 0.0]])
    x = jnp.array([1.0, 3.0])

    def coupled(x):
        return cf.EdgeCoupling(lambda s, t: 1 / (s - t), FORMS[form](conn))(x, x)

    assert coupled(x).tolist() == [1.0, -2.0]
    assert jax.jacrev(coupled)(x).tolist() == [[0.5, -0.5], [-1.0, 1.0]]


class OwnRule(cf.Coupling):
    """Two channels, read by a target that weighs them: c = k Σ W (s² + t s)."""

    conn: jax.Array | BCOO
    k: jax.Array

    def send(self, source):
        return {"square": source**2, "plain": source}

    def receive(self, sums, target, in_strength):
        return self.k * (sums["square"] + target * sums["plain"])


@pytest.mark.parametrize("source", STATES)
@pytest.mark.parametrize("form", FORMS)
def test_a_rule_of_ones_own_works_over_every_connection(form, source):
    coupling = OwnRule(FORMS[form](CONN), jnp.asarray(STRENGTHS["a k for each target"]))
    rule = (lambda s, t: s * s + t * s), (lambda total, i: oracle.at(coupling.k, i) * total)
    wanted = oracle.couple(rule, CONN, STATES[source], OWN)
    assert_close(coupling(jnp.asarray(STATES[source]), jnp.asarray(OWN)), wanted, ulps=32)


OFFSET = """
class Offset(cf.Coupling):
    conn: jax.Array
    k: jax.Array
    b: jax.Array
    others: dict  # not an array: its shape is not checked

    def send(self, source):
        return source

    def receive(self, sums, target, in_strength):
        return self.k * sums + self.b
"""


@pytest.mark.parametrize("first_line", ["", "from __future__ import annotations"])
def test_shapes_of_ones_own_parameters_are_checked_whatever_the_annotations(first_line):
    """The future import turns annotations into strings; with or without it these are not ours."""
    names = {"cf": cf, "jax": jax, "__name__": __name__}
    exec(first_line + OFFSET, names)
    rule, others, k = names["Offset"], {"a": jnp.ones(7)}, jnp.asarray(2.0)
    assert isinstance(rule.__annotations__["b"], str) is bool(first_line)
    source = jnp.asarray(STATES["one source"])
    for b in (jnp.asarray(0.5), jnp.asarray(OWN)):
        wanted = cf.additive_coupling(source, CONN, k, b=b)
        assert (rule(jnp.asarray(CONN), k, b, others)(source) == wanted).all()
    for shape in ((1,), (TARGETS, 1), (TARGETS + SOURCES,), (SOURCES, TARGETS)):
        with refuses(r"`b` must have shape \(\) or \(4,\) or \(5,\) or \(4, 5\), not", ValueError):
            rule(jnp.asarray(CONN), k, jnp.ones(shape), others)
    with refuses(r"`k` must have shape \(\) or \(4,\), not \(5,\)", ValueError):
        rule(jnp.asarray(CONN), jnp.ones(SOURCES), jnp.asarray(0.5), others)


def test_in_strength_is_the_row_sums():
    class Mean(cf.Coupling):
        conn: jax.Array
        k: jax.Array

        def send(self, source):
            return source

        def receive(self, sums, target, in_strength):
            return self.k * sums / in_strength

    coupling = Mean(jnp.array([[1.0, 3.0], [2.0, 2.0]]), jnp.array(2.0))
    assert coupling(jnp.array([4.0, 8.0])).tolist() == [14.0, 12.0]
