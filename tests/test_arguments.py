"""One program for all numbers, and for all networks that are alike."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import Compilations
from strategies import directed

import coupling_fn as cf
from coupling_fn._core import as_arguments

N = 4
W = directed(N, N)
X0 = cf.nodes.LinearState(jnp.full(N, 0.5))
NODE = cf.nodes.LinearParams(a=-1.0)
KS = [0.1, 0.2, 0.3, 0.4]


def params_at(k, **more):
    """As a user puts it in: a Python float in place of the array."""
    params = cf.Params(NODE, cf.AdditiveCoupling(W), **more)
    return eqx.tree_at(lambda p: p.coupling.k, params, k)


def network(lags=None, **more):
    return cf.Network(cf.nodes.linear, dt=0.1, lags=lags, **more)


PLAIN, DELAYED = network(), network(3)


def run(net, params, **more):
    state = net.init(X0, params, key=jax.random.key(0))
    return cf.simulate(net, state, params, 20, record="x", **more)[1]


def mean_square(params):
    return jnp.mean(run(PLAIN, params) ** 2)


def apart(params):
    return run(PLAIN, params)[-1] - 0.3


def times(x, k):
    return x * k


class Scaled(eqx.Module):
    """A function with a Python number in it."""

    k: float

    def __call__(self, x):
        return self.k * x


def fitted(call, **more):
    return lambda k: call(params_at(k), where=lambda p: p.coupling.k, **more)


DOORS = {
    "simulate": lambda k: run(PLAIN, params_at(k)),
    "simulate with delays": lambda k: run(DELAYED, params_at(k)),
    "simulate any step": lambda k: cf.simulate(times, 1.0, k, 3, record=None),
    "init": lambda k: DELAYED.init(X0, params_at(k)).node,
    "one step": lambda k: PLAIN(PLAIN.init(X0, params_at(k)), params_at(k)).node,
    "sweep": lambda k: cf.sweep(Scaled(k), jnp.arange(3.0), progress=False),
    "fixed_point": lambda k: cf.fixed_point(PLAIN, params_at(k), X0),
    "jacobians": lambda k: cf.jacobians(PLAIN, params_at(k), X0).instantaneous,
    "analytic_fc": lambda k: cf.analytic_fc(PLAIN, params_at(k, noise=0.1), X0),
    "cross_spectrum": lambda k: cf.cross_spectrum(PLAIN, params_at(k, noise=0.1), X0, np.ones(2)),
    "critical_k": lambda k: cf.critical_k(
        PLAIN, eqx.tree_at(lambda p: p.coupling.b, params_at(0.0), k), X0, 0.0, 5.0
    ),
    "fit": fitted(
        lambda p, **kw: cf.fit(mean_square, p, steps=2, progress=False, **kw).losses,
    ),
    "least_squares": fitted(lambda p, **kw: cf.least_squares(apart, p, steps=3, **kw).losses),
    "profile_likelihood": fitted(
        lambda p, where: (
            cf.profile_likelihood(
                mean_square, p, along=where, values=jnp.linspace(-1.0, 1.0, 5)
            ).losses
        )
    ),
    "uncertainty": fitted(lambda p, **kw: cf.uncertainty(apart, p, **kw).error),
}


@pytest.mark.every(4)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("door", DOORS)
def test_a_number_put_in_by_tree_at_compiles_once_for_all_values(door):
    call = DOORS[door]
    first = call(KS[0])
    call(jnp.asarray(KS[0]))  # other forms of a number may be other programs, but not other values
    with Compilations() as seen:
        others = [call(k) for k in KS]
    assert seen.count == 0
    for got, wanted in [(others[0], first), (others[2], call(jnp.asarray(KS[2])))]:
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b), got, wanted)


def test_whole_numbers_are_parameters_where_a_parameter_stands():
    run(PLAIN, params_at(1, noise={"x": 0.1}))
    with Compilations() as seen:
        for k in (2, 3.0):
            params = eqx.tree_at(lambda p: p.noise["x"], params_at(k, noise={"x": 0.1}), k)
            run(PLAIN, params)
    assert seen.count == 0


@pytest.mark.parametrize(
    "where", [lambda p: p.external["x"].duration, lambda p: p.coupling.parameters["theta"]]
)
def test_whole_numbers_are_optional_parameters_and_those_of_a_rule_too(where):
    coupling = cf.CustomCoupling(late, W, theta=0.5)
    pulse = cf.stimuli.Step(1.0, onset=0.0, duration=1.5)
    params = cf.Params(NODE, coupling, external={"x": pulse})
    run(PLAIN, eqx.tree_at(where, params, 1))
    with Compilations() as seen:
        for value in (2, 3.0):
            run(PLAIN, eqx.tree_at(where, params, value))
    assert seen.count == 0


def late(source, target, conn, k, theta):
    return k * cf.weighted_sum(conn, source - theta)


def test_what_may_be_structure_stays_what_it_is():
    def step(x, params):
        assert params["how"] == "up" and params["on"] is True
        return x * params["k"] ** len(range(params["order"]))

    tree = {"how": "up", "on": True, "order": 2, "k": 3.0}
    assert float(cf.simulate(step, jnp.ones(()), tree, 1, record=None)[0]) == 9.0
    taken = as_arguments((tree, None, "x", 1 + 2j, np.float32(2)))
    assert isinstance(taken[0].pop("k"), jax.Array)
    tree.pop("k")
    assert taken[0] == tree and taken[1:] == (None, "x", 1 + 2j, np.float32(2))
    assert as_arguments(PLAIN) is PLAIN


def test_a_python_number_stays_weakly_typed():
    state = PLAIN.init(cf.nodes.LinearState(jnp.ones(N, "float32")), params_at(0.1))
    coupling = cf.AdditiveCoupling(W.astype("float32"))
    params = eqx.tree_at(lambda p: p.coupling.k, cf.Params(NODE, coupling), 0.1)
    assert cf.simulate(PLAIN, state, params, 2, record="x")[1].dtype == "float32"


def test_a_fit_starts_from_a_python_number():
    found = cf.fit(
        lambda p: (p["k"] - 0.3) ** 2,
        {"k": 0.0},
        where=lambda p: p["k"],
        optimizer=optax.adam(0.05),
        progress=False,
    )
    assert abs(float(found.params["k"]) - 0.3) < 0.01


# --- one network per subject ---------------------------------------------------------------------


def of_subject(seed, **more):
    lags = np.random.default_rng(seed).integers(1, 12, (N, N))
    return network(lags, **more)


COHORT = {
    "simulate": lambda net: run(net, params_at(jnp.asarray(0.2))),
    "one step": lambda net: eqx.filter_jit(net)(net.init(X0, params_at(0.2)), params_at(0.2)).node,
    "analytic_fc": lambda net: cf.analytic_fc(net, params_at(jnp.asarray(0.2), noise=0.1), X0),
    "critical_k": lambda net: cf.critical_k(net, params_at(jnp.asarray(0.2)), X0, 0.0, 5.0),
}


@pytest.mark.every(3)
@pytest.mark.parametrize("call", COHORT)
def test_networks_of_several_subjects_with_equal_bounds_share_a_program(call):
    # Both lose their stability in the same way: `critical_k` compiles what refines each way by itself.
    first, second = (of_subject(seed, lag_bounds=(1, 12)) for seed in (0, 2))
    COHORT[call](first)
    with Compilations() as seen:
        COHORT[call](second)
    assert seen.count == 0
