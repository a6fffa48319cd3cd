"""Wrong uses: each raises an error that names the argument, what it got and what it wants.

Jaxtyping's check of annotations is off here, as it is for a user.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses
from jax.experimental.sparse import BCOO

import coupling_fn as cf

N = 3
W = np.array([[0.0, 1.0, 0.5], [2.0, 0.0, 0.0], [0.0, 3.0, 0.1]])
X = jnp.arange(3.0)
START = cf.nodes.HopfState(X, X)
LENGTHS = np.array([[0.0, 20.0, 30.0], [40.0, 0.0, 60.0], [70.0, 80.0, 0.0]])
LAGS = np.array([[1, 2, 3], [4, 1, 2], [3, 2, 1]])
NAN = np.where(np.eye(N) > 0, W, np.nan)


def with_(x, where, value):
    x = np.array(x, float)
    x[where] = value
    return x


def net(**options):
    return cf.Network(**{"node": cf.nodes.hopf, "dt": 0.1, **options})


def params(**options):
    given = {"node": cf.nodes.HopfParams(), "coupling": cf.DiffusiveCoupling(W), **options}
    return cf.Params(**given)


def start(network=None, x0=START, changed=None, **options):
    changed = params() if changed is None else changed
    return (net() if network is None else network).init(x0, changed, **options)


def run(network=None, changed=None, steps=3, begun=None, **options):
    """Run steps from a state that was begun with good parameters."""
    network = net() if network is None else network
    state = start(network) if begun is None else begun
    return cf.simulate(network, state, params() if changed is None else changed, steps, **options)


def swapped(where, value):
    """Return good parameters, one of which is changed without the checks that building them makes."""
    return eqx.tree_at(where, params(external={"x": X}), value)


def custom(source, target, conn, k, threshold=0.5):
    return k * cf.weighted_sum(conn, source)


PROBLEMS = {
    # --- couplings
    "weights that are NaN": (
        lambda: cf.DiffusiveCoupling(NAN),
        r"`conn` must be finite; at \(0, 1\) it is nan\. A tract that is missing .* weight of 0",
    ),
    "infinite weights": (
        lambda: cf.additive_coupling(X, with_(W, (2, 1), np.inf)),
        r"`conn` must be finite; at \(2, 1\) it is inf",
    ),
    "sparse weights that are NaN": (
        lambda: cf.AdditiveCoupling(BCOO.fromdense(NAN)),
        "`conn` must be finite; at 0 it is nan",
    ),
    "complex weights": (
        lambda: cf.AdditiveCoupling(W * 1j),
        "`conn` must be real; it is complex128",
        TypeError,
    ),
    "weights that are words": (
        lambda: cf.AdditiveCoupling([["one", "two"], ["three", "four"]]),
        "`conn` must be an array of numbers, not list",
        TypeError,
    ),
    "weights with one axis": (
        lambda: cf.AdditiveCoupling(W[0]),
        r"`conn` must have shape \(target, source\), not \(3,\)",
    ),
    "weights with three axes": (
        lambda: cf.AdditiveCoupling(W[None]),
        r"`conn` must have shape \(target, source\), not \(1, 3, 3\)",
    ),
    "a batched BCOO": (
        lambda: cf.AdditiveCoupling(BCOO.fromdense(jnp.asarray(W)[None], n_batch=1)),
        r"`conn` must have shape \(target, source\) without batch or dense axes",
    ),
    "k of one element in an array": (
        lambda: cf.DiffusiveCoupling(W, k=jnp.ones(1)),
        r"`k` must have shape \(\) or \(3,\), not \(1,\)\. It is one number, or one per target",
    ),
    "k as a column": (
        lambda: cf.DiffusiveCoupling(W, k=jnp.ones((3, 1))),
        r"`k` must have shape \(\) or \(3,\), not \(3, 1\)",
    ),
    "k a matrix": (
        lambda: cf.kuramoto_coupling(X, X, W, k=W),
        r"`k` must have shape \(\) or \(3,\), not \(3, 3\)",
    ),
    "k for each source": (
        lambda: cf.AdditiveCoupling(W[:2], k=jnp.ones(3)),
        r"`k` must have shape \(\) or \(2,\), not \(3,\)",
    ),
    "k that is NaN": (
        lambda: cf.AdditiveCoupling(W, k=np.nan),
        "`k` must be a number; it is nan",
    ),
    "k for each target, one infinite": (
        lambda: cf.AdditiveCoupling(W, k=[1.0, np.inf, 0.0]),
        "`k` must be finite; at 1 it is inf",
    ),
    "k of a custom coupling as a column": (
        lambda: cf.CustomCoupling(custom, W, k=jnp.ones((3, 1))),
        r"`k` must have shape \(\) or \(3,\), not \(3, 1\)",
    ),
    "k of an edge coupling that is NaN": (
        lambda: cf.EdgeCoupling(lambda s, t: s, W, k=np.nan),
        "`k` must be finite; it is nan",
    ),
    "k that is complex": (
        lambda: cf.AdditiveCoupling(W, k=1j),
        "`k` must be real; it is complex128",
        TypeError,
    ),
    "k that is None": (
        lambda: cf.AdditiveCoupling(W, k=None),
        "`k` must be an array of numbers, not NoneType",
        TypeError,
    ),
    "a rule's parameter of a wrong shape": (
        lambda: cf.sigmoidal_coupling(X, W, midpoint=jnp.ones(2)),
        r"`midpoint` must have shape \(\) or \(3,\), not \(2,\)",
    ),
    "a rule's parameter in an array of one": (
        lambda: cf.additive_coupling(X, W, b=jnp.ones(1)),
        r"`b` must have shape \(\) or \(3,\), not \(1,\)",
    ),
    "a source of the wrong length": (
        lambda: cf.AdditiveCoupling(W)(jnp.ones(4)),
        r"`source` must have shape \(3,\) or \(3, 3\), not \(4,\)",
    ),
    "a source of one element": (
        lambda: cf.DiffusiveCoupling(W)(jnp.ones(1), X),
        r"`source` must have shape \(3,\) or \(3, 3\), not \(1,\)",
    ),
    "a target of the wrong length": (
        lambda: cf.DiffusiveCoupling(W)(X, jnp.ones(2)),
        r"`target` must have shape \(3,\), not \(2,\)",
    ),
    "a batch without vmap": (
        lambda: cf.DiffusiveCoupling(W)(X, jnp.ones((3, 3))),
        r"`target` must have shape \(3,\), not \(3, 3\)\..*For a batch, use `jax.vmap`",
    ),
    "a scalar source": (
        lambda: cf.EdgeCoupling(lambda s, t: s, W)(jnp.array(1.0), X),
        r"`source` must have shape \(3,\) or \(3, 3\), not \(\)",
    ),
    "a complex state": (
        lambda: cf.kuramoto_coupling(np.asarray(X) * 1j, X, W),
        "`source` must be real; it is complex128",
        TypeError,
    ),
    "no target for a rule that reads it": (
        lambda: cf.DiffusiveCoupling(W)(X),
        "DiffusiveCoupling reads the `target` state as well",
        TypeError,
    ),
    "no target for a sum that reads it": (
        lambda: (cf.AdditiveCoupling(W) + cf.KuramotoCoupling(W))(X),
        "KuramotoCoupling reads the `target` state as well",
        TypeError,
    ),
    "shapes under jit": (
        lambda: jax.jit(cf.additive_coupling)(jnp.ones(4), W),
        r"`source` must have shape \(3,\) or \(3, 3\), not \(4,\)",
    ),
    "k under jit": (
        lambda: jax.jit(lambda k: cf.DiffusiveCoupling(W, k)(X, X))(jnp.ones((3, 1))),
        r"`k` must have shape \(\) or \(3,\), not \(3, 1\)",
    ),
    "a misspelt keyword": (
        lambda: cf.sigmoidal_coupling(X, W, mid_point=1.0),
        "mid_point",
        TypeError,
    ),
    "a misspelt field": (lambda: cf.DiffusiveCoupling(conn=W, K=1.0), "'K'", TypeError),
    "a misspelt parameter of a custom rule": (
        lambda: cf.CustomCoupling(custom, W, treshold=1.0),
        "treshold",
        TypeError,
    ),
    "a misspelt parameter of an edge rule": (
        lambda: cf.EdgeCoupling(lambda s, t: s, W, gain=1.0),
        "gain",
        TypeError,
    ),
    "a custom rule that returns another shape": (
        lambda: cf.CustomCoupling(lambda s, t, conn, k: (conn * s).sum(), W)(X),
        r"the result of <lambda>` must have shape \(3,\), not \(\)\. Its source is",
    ),
    "adding a number to a coupling": (
        lambda: cf.AdditiveCoupling(W) + 1.0,
        "unsupported operand",
        TypeError,
    ),
    # --- lengths and lags
    "speed of zero": (
        lambda: cf.lags(LENGTHS, 0.0, 0.1),
        r"`speed` must be positive and finite \[mm/ms\], not 0\.0",
    ),
    "negative speed": (lambda: cf.lags(LENGTHS, -3.0, 0.1), "`speed` must be positive.*-3"),
    "speed that is NaN": (lambda: cf.lags(LENGTHS, np.nan, 0.1), "`speed` must be .*finite.*nan"),
    "dt of zero": (lambda: cf.lags(LENGTHS, 3.0, 0.0), "`dt` must be positive.*not 0"),
    "infinite dt": (lambda: cf.lags(LENGTHS, 3.0, np.inf), "`dt` must be .*finite.*inf"),
    "negative lengths": (
        lambda: cf.lags(with_(LENGTHS, (1, 0), -4.0), 3.0, 0.1),
        r"`lengths` must be ≥ 0; at \(1, 0\) it is -4\.0\. Lengths are in mm",
    ),
    "lengths that are NaN": (
        lambda: cf.lags(with_(LENGTHS, (1, 0), np.nan), 3.0, 0.1),
        r"`lengths` must be finite; at \(1, 0\) it is nan.*pass `weights`, which are 0 there",
    ),
    "complex lengths": (
        lambda: cf.lags(LENGTHS * 1j, 3.0, 0.1),
        "`lengths` must be real; it is complex128",
        TypeError,
    ),
    "weights of another size than the lengths": (
        lambda: cf.lags(LENGTHS, 3.0, 0.1, weights=np.ones((2, 2))),
        r"`weights` must have shape \(3, 3\), not \(2, 2\)",
    ),
    "bounds for a speed of zero": (
        lambda: cf.lag_bounds(LENGTHS, (0.0, 3.0), 0.1),
        "`speed` must be positive",
    ),
    "lengths without speed": (
        lambda: params(lengths=LENGTHS),
        "`lengths` came without `speed`; a delay needs both",
    ),
    "speed without lengths": (lambda: params(speed=3.0), "`speed` came without `lengths`"),
    "negative lengths in params": (
        lambda: params(lengths=-LENGTHS, speed=3.0),
        r"`lengths` must be ≥ 0; at \(0, 1\) it is -20",
    ),
    "negative speed in params": (
        lambda: params(lengths=LENGTHS, speed=-3.0),
        "`speed` must be positive and finite",
    ),
    "a history of the wrong length": (
        lambda: start(net(lags=LAGS), history={"x": jnp.ones((3, N)), "y": None}),
        r"`history` must have shape \(\) or \(3,\) or \(4, 3\), not \(3, 3\)\..*oldest first",
    ),
    "a history of an unknown state": (
        lambda: start(net(lags=LAGS), history={"z": 0.0}),
        "There is no delayed source 'z'; there are: x, y",
    ),
    "a fraction of a step": (
        lambda: net(lags=LAGS / 2),
        "`lags` must be whole numbers of steps, not float64: use lags()",
        TypeError,
    ),
    "negative lags": (
        lambda: net(lags=LAGS - 2),
        r"`lags` must be ≥ 0; at \(0, 0\) it is -1",
    ),
    "lags with three axes": (
        lambda: net(lags=LAGS[None]),
        r"`lags` must be one number, or have shape \(target, source\) or \(edge,\); got \(1, 3, 3\)",
    ),
    "lags of edges for a matrix": (
        lambda: start(net(lags=LAGS[0])),
        r"`lags` must have shape \(3, 3\), not \(3,\)\..*must go with its `conn`",
    ),
    "lags of another size than the weights": (
        lambda: start(net(lags=LAGS[:2, :2])),
        r"`lags` must have shape \(3, 3\), not \(2, 2\)\..*must go with its `conn`",
    ),
    "lags beyond their bounds": (
        lambda: net(lags=LAGS, lag_bounds=(1, 3)),
        "A lag leaves the network's bounds of 1 to 3 steps.*span 1 to 4",
    ),
    "bounds in the wrong order": (
        lambda: net(lag_bounds=(5, 2)),
        r"`lag_bounds` must be 0 ≤ smallest ≤ largest, not \(5, 2\)",
    ),
    "bounds without room between": (
        lambda: net(lag_bounds=(5, 5), interpolate="linear"),
        "`lag_bounds` of 'coupling' leave no room to read between steps: 5 to 5",
    ),
    "bounds of an edge without room between": (
        lambda: net(lag_bounds=(1 + 0 * LAGS, np.where(LAGS > 1, 9, 1)), interpolate="linear"),
        "`lag_bounds` of 'coupling' leave no room to read between steps: 1 to 1",
    ),
    "bounds that are not whole": (
        lambda: net(lag_bounds=(0.5, 7.9)),
        r"`lag_bounds` must be .*whole.*7\.9|`lag_bounds` must be .*whole.*0\.5",
        (TypeError, ValueError),
    ),
    "one bound": (
        lambda: net(lag_bounds=7),
        r"`lag_bounds` must be .*smallest.*largest.*7",
        (TypeError, ValueError),
    ),
    "lengths that a network would not read": (
        lambda: start(changed=params(lengths=LENGTHS, speed=3.0)),
        "`params` has lengths and speed, but the network was built without `lag_bounds`",
    ),
    "a network that reads lengths, without them": (
        lambda: start(net(lag_bounds=(0, 9))),
        "built with `lag_bounds` for 'coupling', so `params` must have lengths and speed",
    ),
    "lengths in params of another size": (
        lambda: start(net(lag_bounds=(0, 900)), changed=params(lengths=LENGTHS[:2, :2], speed=3.0)),
        r"must have shape \(3, 3\), not \(2, 2\)",
    ),
    "interpolation of whole lags": (
        lambda: net(lags=LAGS, interpolate="linear"),
        '`interpolate="linear"` reads at lengths / speed',
    ),
    "an unknown interpolation": (
        lambda: net(lag_bounds=(0, 9), interpolate="cubic"),
        "`interpolate` must be one of None, 'linear', not 'cubic'",
    ),
    # --- the network
    "an unnamed node": (
        lambda: net(node=lambda state, inputs, params: state),
        r"`node` must know the names of its states and inputs: put @cf\.nodes\.node",
        TypeError,
    ),
    "dt of zero in a network": (lambda: net(dt=0.0), "`dt` must be positive"),
    "dt that is NaN in a network": (lambda: net(dt=np.nan), "`dt` must be positive and finite"),
    "an unknown scheme": (
        lambda: net(scheme="Heun"),
        "`scheme` must be one of 'euler', 'heun', 'rk4', or a scheme of cf.schemes, not 'Heun'",
    ),
    "an unknown hold": (
        lambda: net(hold=True),
        "`hold` must be one of 'stage', 'coupling', 'step', not True",
    ),
    "an unknown keyword of a network": (lambda: net(lag=LAGS), "'lag'", TypeError),
    "an unknown source": (
        lambda: net(couplings=cf.Wire("z", "x")),
        "There is no state 'z'; there are: x, y",
    ),
    "an unknown input": (
        lambda: net(node=cf.nodes.wilson_cowan, couplings=cf.Wire("E", "e")),
        "There is no input 'e'; there are: E, I",
    ),
    "an unknown target": (
        lambda: net(couplings=cf.Wire("x", "y", target="yy")),
        "There is no state 'yy'; there are: x, y. Did you mean 'y'",
    ),
    "a wire of unequal ends": (
        lambda: cf.Wire(("x", "y"), into="x"),
        "A wire pairs sources, inputs and targets one to one; it got 2, 1 and 2",
    ),
    "lags of an unknown coupling": (
        lambda: net(couplings={"ff": cf.Wire("x", "x")}, lags={"fb": LAGS}),
        r"There is no coupling \(in `lags`\) 'fb'; there are: ff",
    ),
    "a coupling that the network does not have": (
        lambda: start(changed=params(coupling={"couplin": cf.DiffusiveCoupling(W)})),
        "There is no coupling of the network 'couplin'; there are: coupling. Did you mean",
    ),
    "a coupling missing from params": (
        lambda: start(net(couplings={"a": cf.Wire("x", "x")}), changed=params(coupling={})),
        "There is no coupling in `params` 'a'",
    ),
    "a start with a misspelt state": (
        lambda: start(x0={"x": X, "Y": X}),
        "There is no state 'Y'; there are: x, y",
    ),
    "a start without one of the states": (
        lambda: start(x0={"x": X}),
        "`x0` must have all states of the node hopf, x, y; it lacks y",
    ),
    "a start without names": (
        lambda: start(x0=jnp.ones((2, 3))),
        "`x0` must name its states: a NamedTuple or a dict",
        TypeError,
    ),
    "a start of unequal states": (
        lambda: start(x0=cf.nodes.HopfState(X, jnp.ones(4))),
        r"Each state in `x0` must have shape \(region,\); they have",
    ),
    "a batch of starts without vmap": (
        lambda: start(x0=cf.nodes.HopfState(W, W)),
        r"Each state in `x0` must have shape \(region,\)",
    ),
    "a start of more regions than weights": (
        lambda: start(x0=cf.nodes.HopfState(jnp.ones(4), jnp.ones(4))),
        r"`conn` must have shape \(4, 4\), not \(3, 3\)",
    ),
    "a node that there is not": (
        lambda: net(node="jansen_rti"),
        "There is no node 'jansen_rti'; there are: linear, .* Did you mean 'jansen_rit'",
    ),
    "the name of a node": (
        lambda: net(node="jansen_rit"),
        r"`node` must be a function: cf\.nodes\.jansen_rit, not its name",
        TypeError,
    ),
    "noise without a key": (
        lambda: start(changed=params(noise=0.1)),
        "`params.noise` needs a random `key`",
    ),
    "a number for a key": (
        lambda: start(changed=params(noise=0.1), key=3),
        r"`key` must be .*jax\.random",
        (TypeError, ValueError),
    ),
    "negative noise": (lambda: params(noise=-0.1), "`noise` must be ≥ 0; it is -0.1"),
    "noise of an unknown state": (
        lambda: start(changed=params(noise={"z": 0.1}), key=jax.random.key(0)),
        "There is no state 'z'; there are: x, y",
    ),
    "noise for another number of regions": (
        lambda: start(changed=params(noise=jnp.ones(2)), key=jax.random.key(0)),
        r"`noise` must have shape \(\) or \(3,\), not \(2,\)",
    ),
    "noise in an array of one": (
        lambda: start(changed=params(noise=jnp.ones(1)), key=jax.random.key(0)),
        r"`noise` must have shape \(\) or \(3,\), not \(1,\)",
    ),
    "external input on an unknown input": (
        lambda: start(changed=params(external={"z": 1.0})),
        "There is no input 'z'; there are: x, y",
    ),
    "external input for another number of regions": (
        lambda: start(changed=params(external={"x": jnp.ones(4)})),
        r"`external` .*must have shape \(\) or \(3,\), not \(4,\)",
    ),
    "external input in an array of one": (
        lambda: start(changed=params(external={"x": jnp.ones(1)})),
        r"`external` .*must have shape \(\) or \(3,\), not \(1,\)",
    ),
    "an unknown keyword of params": (lambda: params(couplings=1), "couplings", TypeError),
    "a misspelt node parameter": (lambda: cf.nodes.HopfParams(w=0.1), "'w'", TypeError),
    # --- runs
    "negative steps": (lambda: run(steps=-1), "`steps` must be a whole number ≥ 0, not -1"),
    "a fraction of steps": (lambda: run(steps=2.5), "`steps` must be .*not 2.5", TypeError),
    "steps as a float": (lambda: run(steps=3.0), "`steps` must be .*not 3.0", TypeError),
    "steps that are True": (lambda: run(steps=True), "`steps` must be a whole number"),
    "every of zero": (lambda: run(every=0), "`steps` must be a multiple of `every`"),
    "every that does not fit": (
        lambda: run(steps=7, every=3),
        "7 is not one of 3. The nearest are 6 and 9",
    ),
    "a record of an unknown state": (
        lambda: run(record="z"),
        "There is no state, input or auxiliary \\(in `record`\\) 'z'; there are: x, y, input.x",
    ),
    "a record of an unknown state among known ones": (
        lambda: run(record=("x", "z")),
        "There is no state, input or auxiliary \\(in `record`\\) 'z'; there are: x, y, input.x",
    ),
    "k of one element that came in later": (
        lambda: run(changed=swapped(lambda p: p.coupling.k, jnp.ones(1))),
        r"`k` must have shape \(\) or \(3,\), not \(1,\)",
    ),
    "k as a column that came in later": (
        lambda: run(changed=swapped(lambda p: p.coupling.k, jnp.ones((3, 1)))),
        r"`k` must have shape \(\) or \(3,\), not \(3, 1\)",
    ),
    "weights of another size that came in later": (
        lambda: run(changed=swapped(lambda p: p.coupling.conn, jnp.ones((2, 2)))),
        r"must have shape \(3, 3\), not \(2, 2\)|must have shape \(2,\) .*not \(3,\)",
    ),
    "an input misspelt later": (
        lambda: run(changed=swapped(lambda p: p.external, {"z": X})),
        "There is no input 'z'; there are: x, y",
    ),
    "noise without a key that came in later": (
        lambda: run(changed=params(noise=0.1)),
        "`params.noise` needs a random `key`",
    ),
    "a start that is no state": (
        lambda: run(begun=START),
        r"`state` must be what net.init\(x0, params\) .* not HopfState",
        TypeError,
    ),
    "the same, by hand": (
        lambda: net()(START, params()),
        r"`state` must be what net.init\(x0, params\) .* not HopfState",
        TypeError,
    ),
    "the state of a network without lags": (
        lambda: run(net(lags=LAGS), begun=start()),
        r"`state.history` holds nothing; this network needs \{'x': 4, 'y': 4\} \[steps\]",
    ),
    "the state of a network with shorter lags": (
        lambda: run(net(lags=LAGS), begun=start(net(lags=LAGS - 1))),
        r"`state.history` holds \{'x': 3, 'y': 3\} \[steps\]; this network needs \{'x': 4, ",
    ),
    "weights where a coupling belongs": (
        lambda: params(coupling=W),
        r"`coupling` must be a coupling, such as .*, not an array of shape \(3, 3\)",
        TypeError,
    ),
    "the parameters of another node": (
        lambda: run(changed=params(node=cf.nodes.KuramotoParams(omega=0.1))),
        "The node hopf asks for 'a', which `params.node`, of type KuramotoParams, does not have",
        TypeError,
    ),
    "all states where one is meant": (
        lambda: cf.observe.functional_connectivity(
            cf.nodes.HopfState(jnp.ones((4, 3)), jnp.ones((4, 3)))
        ),
        r"`signals` must be one array \(time, region\); got a HopfState of 2. .*: x, y",
        TypeError,
    ),
    "a name where a function picks": (
        lambda: cf.fit(lambda p: p["k"] ** 2, {"k": jnp.ones(())}, where="k"),
        "`where` must be a function of params, such as lambda p: p.coupling.k, not 'k'",
        TypeError,
    ),
    "a node that forgets a state": (
        lambda: run(cf.Network(forgetful, 0.1), begun=start(cf.Network(forgetful, 0.1))),
        "The node forgetful must return the rate of change of each state",
    ),
    "a node that returns another shape": (
        lambda: run(cf.Network(summing, 0.1), begun=start(cf.Network(summing, 0.1))),
        "The node summing must return the rate of change of each state",
    ),
}


@cf.nodes.node(states=["x", "y"], inputs=["x"])
def forgetful(state, inputs, params):
    return {"x": state.x}


@cf.nodes.node(states=["x", "y"], inputs=["x"])
def summing(state, inputs, params):
    return cf.nodes.HopfState(state.x.sum(), state.y)


def own(body, x0=None, node_params=None):
    """Run a node of one's own whose rate of change is `body(state, inputs, params)`."""
    node = cf.nodes.node(states=["x"], inputs=["drive"])(body)
    network = cf.Network(node, 0.1, couplings=cf.Wire("x", into="drive"))
    given = cf.Params({"a": 1.0} if node_params is None else node_params, cf.AdditiveCoupling(W))
    return cf.simulate(network, network.init({"x": X} if x0 is None else x0, given), given, 3)


class FirstOnly(cf.Coupling):
    conn: jax.Array
    k: jax.Array

    def send(self, source):
        return source * float(source[0])

    def receive(self, sums, target, in_strength):
        return self.k * sums


TUPLE = cf.nodes.LinearState(X)
NUMPY = "hands an array that JAX traces to NumPy"
PROBLEMS |= {
    # --- functions of one's own, asked for what they do not have
    "a node that reads an input it has not": (
        lambda: own(lambda s, i, p: {"x": i["J"]}),
        "The node .*asks for 'J', which it is not given. Names in its state: x. "
        "Names in its inputs: drive. "
        "Names in `params.node`: a.",
        TypeError,
    ),
    "a node that misspells an input": (
        lambda: own(lambda s, i, p: {"x": i["drve"]}),
        "Did you mean 'drive'",
        TypeError,
    ),
    "a node that reads a field of its inputs it has not": (
        lambda: own(lambda s, i, p: cf.nodes.LinearState(i.J), TUPLE),
        "asks for 'J', which its inputs, of type Inputs, does not have. Names in its inputs: drive",
        TypeError,
    ),
    "a node that reads a dict after a dot": (
        lambda: own(lambda s, i, p: {"x": s.x}),
        "asks for 'x', which its state, of type dict, does not have. It is a dict",
        TypeError,
    ),
    "a node that reads a NamedTuple in brackets": (
        lambda: own(lambda s, i, p: cf.nodes.LinearState(s["x"]), TUPLE),
        "asks for a name in brackets, but its state is a LinearState: write `.x`",
        TypeError,
    ),
    "a node of too few arguments": (
        lambda: own(lambda s, i: {"x": s["x"]}),
        "takes 2 positional arguments but 3 were given",
        TypeError,
    ),
    "a node in NumPy": (
        lambda: own(lambda s, i, p: {"x": np.tanh(s["x"])}),
        f"The node .*{NUMPY}.*jnp.tanh",
        TypeError,
    ),
    "a node with an if": (
        lambda: own(lambda s, i, p: {"x": s["x"] if s["x"][0] > 0 else i["drive"]}),
        "The node .*asks in Python .*jnp.where",
        TypeError,
    ),
    "a node that makes a Python number": (
        lambda: own(lambda s, i, p: {"x": float(s["x"][0]) + s["x"]}),
        "makes a Python number .*Leave it an array",
        TypeError,
    ),
    "a node with a range of an array": (
        lambda: own(lambda s, i, p: {"x": s["x"] * len(range(s["x"][0].astype(int)))}),
        "The node .*makes a Python number .*Leave it an array",
        TypeError,
    ),
    "a rule that makes a Python number": (
        lambda: run(changed=params(coupling=FirstOnly(W, jnp.array(1.0)))),
        "`send` of .*makes a Python number .*Leave it an array",
        TypeError,
    ),
    "external input in NumPy": (
        lambda: run(changed=params(external={"x": lambda t: np.sin(t)})),
        f"`external` on 'x' {NUMPY}",
        TypeError,
    ),
    "external input of nothing": (
        lambda: run(changed=params(external={"x": lambda t: None})),
        "`external` on 'x' returned None",
        TypeError,
    ),
    "a class for external input": (
        lambda: params(external={"x": cf.stimuli.Sine}),
        "`external` must not hold the class Sine itself",
        TypeError,
    ),
    "external input without a name": (
        lambda: params(external=X),
        r"`external` must be a dict by the names of inputs, .*not an array of shape \(3,\)",
        TypeError,
    ),
    "a record in NumPy": (
        lambda: run(record=lambda s: np.tanh(s.node.x)),
        f"`record` {NUMPY}",
        TypeError,
    ),
    "a record of a state's variable": (
        lambda: run(record=lambda s: s.x),
        "`record` asks for 'x', which the state of the run, .*Names in the state of the run: node,",
        TypeError,
    ),
    "a sweep in NumPy": (lambda: cf.sweep(np.sin, X, progress=False), f"`fn` {NUMPY}", TypeError),
    "a sweep the other way round": (
        lambda: cf.sweep(X, jnp.sin, progress=False),
        r"`fn` must be a function, not an array of shape \(3,\): cf.sweep\(fn, values\)",
        TypeError,
    ),
    "a loss in NumPy": (
        lambda: cf.fit(lambda p: np.tanh(p), X[0], where=lambda p: p, progress=False),
        f"`loss` {NUMPY}",
        TypeError,
    ),
    "a fit the other way round": (
        lambda: cf.fit(X, jnp.sum, where=lambda p: p),
        r"`loss` must be a function, not an array of shape \(3,\): cf.fit\(loss, params, where=...\)",
        TypeError,
    ),
    "starts with a number for a key": (
        lambda: cf.fit(jnp.sum, X, where=lambda p: p, starts=2, key=0),
        "`key` must be a key from",
        TypeError,
    ),
    "residuals that are no function": (
        lambda: cf.least_squares(3.0, X, where=lambda p: p),
        "`residuals` must be a function, not 3.0",
        TypeError,
    ),
    "a search the other way round": (
        lambda: cf.find_k(W, lambda k: X),
        "`run` must be a function, not an array",
        TypeError,
    ),
    "an objective by name": (
        lambda: cf.find_k(lambda k: X, W, objective="rmse"),
        "`objective` must be a function, not 'rmse'",
        TypeError,
    ),
    "an objective that is a matrix": (
        lambda: cf.find_k(
            lambda k: k * jax.random.normal(jax.random.key(0), (20, N)),
            W + W.T,
            objective=lambda fc, target: fc - target,
        ),
        r"`objective` must return one number, not an array of shape \(3, 3\)",
        TypeError,
    ),
    # --- one thing in the place of another
    "a state for a network": (
        lambda: cf.simulate(start(), params(), net(), 3),
        r"`step` must be a function, not a State: simulate\(step, state, params, steps\)",
        TypeError,
    ),
    "node parameters for params": (
        lambda: run(changed=cf.nodes.HopfParams()),
        r"`params` must be cf.Params\(node=..., coupling=...\), not a HopfParams",
        TypeError,
    ),
    "the params of init in the place of x0": (
        lambda: net().init(params(), START),
        "`x0` must be the states of the node, not a Params",
        TypeError,
    ),
    "a whole state for x0": (
        lambda: cf.analytic_fc(net(), params(noise=0.1), start()),
        "`x0` must be the states of the node, not a whole State: give its `.node`",
        TypeError,
    ),
    "the class of a state": (
        lambda: start(x0=cf.nodes.HopfState),
        "`x0` must be states at t = 0, not the class HopfState itself",
        TypeError,
    ),
    "the states of another node": (
        lambda: start(x0=cf.nodes.LinearState(X)),
        "`x0` must have all states of the node hopf, x, y; it lacks y",
    ),
    "many keys": (
        lambda: start(key=jax.random.split(jax.random.key(0), 3)),
        "`key` must be one key, .*use `jax.vmap`",
        TypeError,
    ),
    "a key for noise": (
        lambda: params(noise=jax.random.key(0)),
        "`noise` must be an array of numbers, not a random key",
        TypeError,
    ),
    "the class of a node's parameters": (
        lambda: params(node=cf.nodes.HopfParams),
        "`node` must be parameters of a node, not the class HopfParams itself",
        TypeError,
    ),
    "the class of a coupling": (
        lambda: params(coupling=cf.DiffusiveCoupling),
        "`coupling` must be a coupling, .*not the class DiffusiveCoupling itself",
        TypeError,
    ),
    "a connectome for a coupling": (
        lambda: params(coupling=cf.Connectome(W)),
        "`coupling` must be a coupling, .*not a Connectome",
        TypeError,
    ),
    "the name of a coupling": (
        lambda: params(coupling="diffusive"),
        "`coupling` must be a coupling, .*not 'diffusive'",
        TypeError,
    ),
    "no coupling at all": (
        lambda: start(changed=params(coupling=None)),
        "There is no coupling in `params` 'coupling'; there are none",
    ),
    "node parameters for a node": (
        lambda: net(node=cf.nodes.HopfParams()),
        "`node` must be a function, such as cf.nodes.hopf, not a HopfParams",
        TypeError,
    ),
    "a rule for a wire": (
        lambda: net(couplings=cf.DiffusiveCoupling(W)),
        "`couplings` must be a cf.Wire.*not a DiffusiveCoupling. The coupling itself goes into",
        TypeError,
    ),
    "wires in a list": (
        lambda: net(couplings=[cf.Wire("x", into="x")]),
        "`couplings` must be a cf.Wire.*or a dict of wires by name, not a list",
        TypeError,
    ),
    "params for a network": (
        lambda: cf.analytic_fc(params(), net(), START),
        "`net` must be a cf.Network, not a Params",
        TypeError,
    ),
    "a number of devices to share the nodes": (
        lambda: cf.shard(net(), start(), params(), 2),
        "`devices` must be a list",
        TypeError,
    ),
    "a number of devices for a sweep": (
        lambda: cf.sweep(jnp.sin, X, devices=2),
        "`devices` must be a list",
        TypeError,
    ),
}


def test_lists_are_as_good_as_tuples():
    wire = cf.Wire(["x", "y"], into=["x", "y"])
    assert wire == cf.Wire(("x", "y"), into=("x", "y"))
    assert set(run(record=["x", "y"])[1]) == {"x", "y"}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_refused(problem):
    wrong, message, *error = PROBLEMS[problem]
    with refuses(message, error[0] if error else ValueError):
        wrong()


def test_nothing_of_a_wrong_run_is_compiled():
    """The error comes before any work: tracing has not begun."""
    traced = []
    network = cf.Network(
        cf.nodes.node(states=["x", "y"], inputs=["x"])(lambda *_: traced.append(1)), 0.1
    )
    with refuses("`steps` must be a whole number"):
        cf.simulate(network, start(network), params(), -3)
    assert not traced


def test_values_are_not_looked_at_under_jit():
    """Shapes are checked there; a NaN passes, since looking for it would cost time."""
    coupled = jax.jit(lambda conn: cf.AdditiveCoupling(conn)(X))(jnp.asarray(NAN))
    assert jnp.isnan(coupled).any()
