"""States and parameters in files: the same bits in another process, and words for everything else."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses
from strategies import directed

import coupling_fn as cf
from coupling_fn._core import as_arguments, read_arrays, write_arrays

N = 4
W = jnp.asarray(directed(N, N))
LAGS = 1 + np.arange(N * N).reshape(N, N) % 5
X0 = cf.nodes.HopfState(jnp.linspace(0.1, 0.4, N), jnp.zeros(N))


class OwnState(NamedTuple):
    u: jax.Array


@cf.nodes.node(states=["u"], inputs=["drive"])
def own(state, inputs, params):
    return OwnState(-params["leak"] * state.u + inputs.drive)


class Cubed(cf.Coupling):
    conn: jax.Array
    k: jax.Array

    def send(self, source):
        return source**3

    def receive(self, sums, target, in_strength):
        return self.k * sums


def hopf(conn=W, **more):
    params = cf.Params(cf.nodes.HopfParams(a=-0.1), cf.DiffusiveCoupling(conn, k=0.3), **more)
    return cf.Network(cf.nodes.hopf, 0.5, lags=LAGS), params, X0


def with_own_rule():
    net = cf.Network(own, 0.5, couplings=cf.Wire("u", into="drive"), lags=LAGS)
    return net, cf.Params({"leak": 0.5, "order": 3}, Cubed(W, jnp.asarray(0.2))), OwnState(X0.x)


def in_float32():
    net, params, x0 = hopf()
    single = jax.tree.map(lambda x: x.astype("float32"), (params, x0))
    return net, *single


CASES = {
    "delays and noise": lambda: hopf(noise=0.01),
    "coloured noise": lambda: hopf(
        noise={"x": cf.noise.OrnsteinUhlenbeck(0.1, tau=5.0)},
        external={"x": cf.stimuli.Sine(0.2, 10.0) + cf.noise.OrnsteinUhlenbeck(0.1, tau=9.0)},
    ),
    "sparse": lambda: hopf(cf.to_sparse(W)),
    "a rule and a node of one's own": with_own_rule,
    "float32": in_float32,
    "a function as input": lambda: hopf(external={"x": jnp.sin}),
}


def start_of(net, params, x0, key):
    return net.init(x0, params, key=key)


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if not isinstance(x, jax.Array):
            assert x is y or x == y
            continue
        assert x.dtype == y.dtype and getattr(x, "weak_type", 0) == getattr(y, "weak_type", 0)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


@pytest.mark.parametrize(
    "key", [jax.random.key(3), jax.random.PRNGKey(3), jax.random.key(3, impl="rbg")]
)
@pytest.mark.every(3)
@pytest.mark.parametrize("case", CASES)
def test_what_is_read_is_what_was_written(tmp_path, case, key):
    net, params, x0 = CASES[case]()
    start = start_of(net, params, x0, key)
    state = start if "rbg" in str(key.dtype) else cf.simulate(net, start, params, 7)[0]
    cf.save_state(tmp_path / "new" / "state", net, state)
    cf.save_params(tmp_path / "params.npz", params)
    same(cf.load_state(tmp_path / "new" / "state", net, like=start), state)
    other = jax.tree.map(lambda x: x * 0 if eqx.is_inexact_array(x) else x, params)
    same(cf.load_params(tmp_path / "params.npz", like=other), as_arguments(params))


def test_bfloat16_whole_numbers_words_and_weak_types_are_kept(tmp_path):
    tree = {"b": jnp.arange(3.0).astype("bfloat16"), "n": 3, "on": True, "how": "up", "none": None}
    tree |= {
        "k": jnp.asarray(0.5),
        "number": 0.1,
        "row": jnp.full(3, 0.1),
        "empty": jnp.zeros((0, 2)),
    }
    like = tree | {"n": 4, "on": False, "how": "down", "k": jnp.asarray(0.1), "number": 2.0}
    cf.save_params(tmp_path / "p", tree)
    got = cf.load_params(tmp_path / "p", like=like)
    assert got["n"] == 3 and got["on"] is True and got["how"] == "up"
    same(got, tree | {"number": jnp.asarray(0.1)})


SCRIPT = """
import sys, jax, numpy as np
sys.path.insert(0, {tests!r})
jax.config.update("jax_enable_x64", True)
import coupling_fn as cf
from test_state_files import CASES, start_of

net, params, x0 = CASES["delays and noise"]()
start = start_of(net, params, x0, jax.random.key(9))
state = cf.load_state({folder!r} + "/state.npz", net, like=start)
params = cf.load_params({folder!r} + "/params.npz", like=params)
last, x = cf.simulate(net, state, params, 20, record="x")
np.save({folder!r} + "/x.npy", x)
"""


def test_a_run_goes_on_in_another_process_with_the_same_bits(tmp_path):
    net, params, x0 = CASES["delays and noise"]()
    params = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(0.7))
    state, _ = cf.simulate(net, start_of(net, params, x0, jax.random.key(3)), params, 13)
    cf.save_state(tmp_path / "state.npz", net, state)
    cf.save_params(tmp_path / "params.npz", params)
    script = SCRIPT.format(tests=os.path.dirname(__file__), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", script], check=True)
    wanted = cf.simulate(net, state, params, 20, record="x")[1]
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), wanted, rtol=1e-12)


@pytest.fixture
def written(tmp_path):
    net, params, x0 = hopf(noise=0.01)
    start = start_of(net, params, x0, jax.random.key(3))
    cf.save_state(tmp_path / "state", net, start)
    cf.save_params(tmp_path / "params", params)
    return tmp_path, net, params, start


def test_another_model_is_refused_in_words(written):
    folder, net, _, start = written

    def load(net=net, like=start):
        return cf.load_state(folder / "state", net, like=like)

    with refuses("dt .ms. is 0.5 in the file, and 0.25 in the network"):
        load(cf.Network(cf.nodes.hopf, 0.25, lags=LAGS))
    with refuses("node is hopf in the file, and stuart_landau in the network|node is hopf"):
        load(cf.Network(cf.nodes.linear, 0.5, lags=LAGS))
    with refuses(r"\.node is HopfState in the file, and dict in `like`"):
        load(like=start._replace(node=start.node._asdict()))
    with refuses(r"history\['x'\] is float64\[5, 4\] in the file, and float64\[9, 4\] in `like`"):
        load(like=start._replace(history=jax.tree.map(lambda x: jnp.ones((9, 4)), start.history)))
    with refuses(r"\.node\.x is float64\[4\] in the file, and float32\[4\] in `like`"):
        load(like=jax.tree.map(lambda x: x.astype("float32") if x.dtype == float else x, start))
    with refuses(r"\.key is key<fry>\[\] in the file, and uint32\[2\] in `like`"):
        load(like=start._replace(key=jax.random.PRNGKey(0)))
    with refuses(r"\.key is key<fry>\[\] in the file, and nothing in `like`"):
        load(like=start._replace(key=None))
    with refuses("There are 2 more"):
        load(like=start._replace(node={}, history={}, reference={}))


def test_other_parameters_are_refused_in_words(written):
    folder, _, params, _ = written

    def load(like):
        return cf.load_params(folder / "params", like=like)

    with refuses(r"\.node is HopfParams in the file, and LinearParams in `like`"):
        load(cf.Params(cf.nodes.LinearParams(), params.coupling, noise=0.01))
    with refuses(r"\.coupling is DiffusiveCoupling in the file, and AdditiveCoupling in `like`"):
        load(cf.Params(params.node, cf.AdditiveCoupling(W), noise=0.01))
    with refuses(r"\.coupling\.conn is float64\[4, 4\] in the file, and float64\[3, 3\]"):
        load(cf.Params(params.node, cf.DiffusiveCoupling(jnp.ones((3, 3))), noise=0.01))
    with refuses(r"\.noise is .*float64\[\] in the file, and nothing in `like`"):
        load(cf.Params(params.node, params.coupling))
    cf.save_params(folder / "rule", cf.Params(coupling=cf.EdgeCoupling(jnp.subtract, W)))
    with refuses(r"\.coupling\.fn is subtract in the file, and add in `like`"):
        cf.load_params(folder / "rule", like=cf.Params(coupling=cf.EdgeCoupling(jnp.add, W)))


def test_files_of_another_kind_or_format_or_none_are_refused_in_words(written):
    folder, net, params, start = written
    with refuses("holds params, not state: read it with cf.load_params"):
        cf.load_state(folder / "params", net, like=start)
    with refuses("holds state, not params: read it with cf.load_state"):
        cf.load_params(folder / "state", like=params)
    with refuses("there is no file", FileNotFoundError):
        cf.load_params(folder / "nothing", like=params)
    with refuses("`net` must be the cf.Network of the state, not Params", TypeError):
        cf.save_state(folder / "x", params, start)
    with refuses("`state` must be what net.init", TypeError):
        cf.save_state(folder / "x", net, params)
    with refuses("`state` must be what net.init|`like` must be", TypeError):
        cf.load_state(folder / "state", net, like=params)
    with refuses("outside of `jit`"):
        jax.jit(lambda p: cf.save_params(folder / "x", p))(params)
    with refuses("`path`: cannot write", OSError):
        cf.save_params(folder / "state" / "x", params)
    arrays, marks = read_arrays(folder / "state")
    write_arrays(
        "path", folder / "later", arrays, marks | {"format": 2, "versions": {"coupling_fn": "9"}}
    )
    with refuses("is in format 2, of coupling_fn 9; this version reads format 1"):
        cf.load_state(folder / "later", net, like=start)


@pytest.mark.parametrize("damage", ["cut", "bit", "text", "empty", "npz", "marks"])
def test_a_damaged_file_is_refused_in_words(written, damage):
    folder, net, _, start = written
    path = folder / "state"
    whole = path.read_bytes()
    if damage == "npz":
        np.savez(folder / "other.npz", x=np.ones(3))
        whole = (folder / "other.npz").read_bytes()
    if damage == "marks":
        write_arrays("path", path, {}, json.loads("{}"))
        whole = path.read_bytes()
    middle = whole.index(np.asarray(start.node.x).tobytes()) if damage == "bit" else 0
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "bit": whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :],
            "text": b"not a file of ours",
            "empty": b"",
        }.get(damage, whole)
    )
    with refuses("is damaged, or cf.save_state did not write it"):
        cf.load_state(path, net, like=start)
