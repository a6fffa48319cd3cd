"""How far is a thalamo-cortical hybrid from neurolib's, and how long is it next to it?

`python -m benchmarks thalamus`: Wilson–Cowan regions, all coupled to one thalamus over tracts with
delays, both ways. Neurolib runs the network by its numba backend, which it builds from equations anew
for each network; both take turns. Neurolib's firing rates of the thalamus are states that follow one
step late, within the thalamus, too; so the two differ by terms of the order of dt. Euler, float32.
"""

import importlib.util
import os
import time
from types import CodeType, SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

ROUNDS, K_DOWN, K_UP, DRIVE = 5, 0.2, 4.0, 1.0
# Of the range of E, over the run: 0.017 was seen, since rates within neurolib's thalamus are late, too.
TOLERANCE = 0.05


def connections(connectome, regions):
    """Return weights and lengths [mm] of the cortex, and lengths of the tracts of the thalamus."""
    if connectome:
        with np.load(connectome) as file:
            conn, lengths = np.array(file["weights"]), np.array(file["lengths"])
    else:
        made = cf.synthetic_connectome(regions, jax.random.key(0))
        conn, lengths = np.array(made.weights), np.array(made.lengths)
    np.fill_diagonal(conn, 0)
    conn = conn / conn.sum(1, keepdims=True)
    return conn, lengths, np.linspace(40.0, 90.0, len(conn))


def ours(conn, lengths, tracts, dt):
    """Return the network, its state at the start, and its parameters."""
    size, cortex, thalamus = len(conn), cf.nodes.wilson_cowan, cf.nodes.thalamus
    node = cf.hybrid.node(cortex=cortex, thalamus=thalamus)

    def rate(state):
        # The logistic function of the node, with the source's 1.81379936.
        return 0.4 * jax.nn.sigmoid(1.8137993642 * (state.V_t + 58.5) / 6.0)

    wires = {
        "within": cf.Wire("cortex.E", into="cortex.E"),
        "up": cf.Wire(cf.hybrid.of("thalamus", rate), into="cortex.E"),
        "down": cf.Wire("cortex.E", into="thalamus.ds_er"),
    }
    lags = {
        "within": cf.lags(lengths, 10.0, dt),
        "up": cf.lags(tracts[:, None], 10.0, dt) + 1,  # neurolib's rates follow a step late
        "down": cf.lags(tracts[None], 10.0, dt),
    }
    net = cf.Network(node, dt, couplings=wires, lags=lags, scheme="euler")
    f32 = jnp.float32
    couplings = {
        "within": cf.AdditiveCoupling(f32(conn), 1.0),
        "up": cf.AdditiveCoupling(jnp.ones((size, 1), jnp.float32), K_UP),
        "down": cf.AdditiveCoupling(jnp.full((1, size), 1 / size, jnp.float32), K_DOWN),
    }
    own = {
        "a_e": 1.5,
        "b_e": 3.0,
        "a_i": 1.5,
        "b_i": 3.0,
        "tau_e": 2.5,
        "tau_i": 3.75,
        "shift": 0.0,
    }
    own |= {"c_ee": 16.0, "c_ei": 12.0, "c_ie": 15.0, "c_ii": 3.0, "P": DRIVE, "Q": 0.0}
    params = cf.Params({"cortex": cortex.Params(**own), "thalamus": thalamus.Params()}, couplings)
    start = dict.fromkeys(thalamus.State._fields, jnp.zeros(1, jnp.float32))
    start |= {"V_t": f32([-68.0]), "V_r": f32([-68.0]), "Ca": f32([2.4e-4])}
    E = f32(np.linspace(0.05, 0.25, size))
    x0 = {"cortex": cortex.State(E, E / 2), "thalamus": thalamus.State(**start)}
    return net, net.init(x0, params), params


def theirs(conn, lengths, tracts, dt):
    """Return a function of a number of steps that runs neurolib's network, `(state, time)`."""
    for name, kind in {"object": object, "float": float}.items():
        if name not in vars(np):  # names that NumPy took away, and neurolib 0.6 uses
            setattr(np, name, kind)
    from neurolib.models.multimodel.builder.base import backend
    from neurolib.models.multimodel.builder.base.network import Network
    from neurolib.models.multimodel.builder.thalamus import ThalamicNode
    from neurolib.models.multimodel.builder.wilson_cowan import WilsonCowanNode

    backend.compile = compiled  # pyright: ignore[reportAttributeAccessIssue]
    size = len(conn)

    class ThalamoCortical(Network):
        name = label = "thalamocortical"
        sync_variables = ("network_exc_exc", "network_inh_exc")
        default_output = "q_mean_EXC"
        output_vars = ()

        @property
        def state_variable_names(self):
            # Neurolib asks that all nodes have the default output; a run by itself does not read it.
            return [["q_mean_EXC"]] * (size + 1)

        def _sync(self):
            sums = [each for node in self for each in node._sync()]
            within, inhibitory = np.zeros((2, size + 1, size + 1))
            within[:size, :size], within[:size, size] = conn, K_UP
            inhibitory[size, :size] = K_DOWN / size
            sent = [0] * size + [9]  # E of the cortex, and the firing rate of relay cells
            sums += self._additive_coupling(sent, "network_exc_exc", within)
            return sums + self._additive_coupling(sent, "network_inh_exc", inhibitory)

    own = {"a": 1.5, "mu": 3.0, "ext_drive": DRIVE, "tau": 2.5}
    other = own | {"ext_drive": 0.0, "tau": 3.75}
    nodes = [WilsonCowanNode(dict(own), dict(other)) for _ in range(size)] + [ThalamicNode()]
    first = 0
    for n, node in enumerate(nodes):
        node.index, node.idx_state_var = n, first
        for mass in node:
            mass.noise_input_idx = [2 * n + mass.index]
        first += node.num_state_variables
    delays = np.zeros((size + 1, size + 1))
    delays[:size, :size], delays[:size, size], delays[size, :size] = lengths, tracts, tracts
    network = ThalamoCortical(nodes, np.ones_like(delays), delays / 10.0)
    E = np.linspace(0.05, 0.25, size)
    start = np.zeros(network.num_state_variables)
    start[: 2 * size : 2], start[1 : 2 * size : 2] = E, E / 2
    masses = (-68.0, 2.4e-4, *[0.0] * 8), (-68.0, *[0.0] * 6)
    start[2 * size :] = np.concatenate(masses)
    rate = 0.4 / (1 + np.exp(-1.8137993642 * (-68.0 + 58.5) / 6.0))
    start[[2 * size + 9, -1]] = rate
    network.initial_state = start

    def run(steps):
        noise = np.zeros((network.num_noise_variables, steps))
        return network.run((steps - 0.5) * dt, dt, noise, backend="numba", return_xarray=False)[1]

    return run


def compiled(text, *more):
    """Compile a function where neurolib 0.6 looks for its code, as it was up to Python 3.10."""
    codes = [x for x in compile(text, *more).co_consts if isinstance(x, CodeType)]
    return SimpleNamespace(co_consts=(*codes[:1], None, None))


def main(connectome, regions, steps, dt=0.1):
    """Print a table, and return its rows."""
    problem = connections(connectome, regions)
    size = len(problem[0])
    net, state, params = ours(*problem, dt)
    names = ("cortex.E", "thalamus.V_t")

    def run(k):
        changed = eqx.tree_at(lambda p: p.coupling["down"].k, params, k)
        return cf.simulate(net, state, changed, steps, record=names)[1]

    def loss(k):
        return jnp.mean(run(k)["cortex.E"] ** 2)

    k = jnp.float32(K_DOWN)
    programs = {"forward": jax.jit(run), "value and gradient": jax.jit(jax.value_and_grad(loss))}
    first, times = {}, {}
    for name, program in programs.items():
        first[name], _ = took(lambda program=program: jax.block_until_ready(program(k)))
    calls = {name: lambda p=p: jax.block_until_ready(p(k)) for name, p in programs.items()}
    error, skipped = None, None
    if importlib.util.find_spec("neurolib") is None:
        skipped = "not installed: neurolib"
    else:
        neurolib = theirs(*problem, dt)
        calls["neurolib"] = lambda: neurolib(steps)
        first["neurolib"], result = took(calls["neurolib"])
        got, wanted = run(k)["cortex.E"], result[: 2 * size : 2].T
        error = float(np.abs(got - wanted).max() / np.ptp(wanted))
        if not error < TOLERANCE:  # a wrong answer has no speed
            raise SystemExit(f"neurolib and this package differ by {error:.1e} of the range.")
    for name in calls:
        times[name] = []
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(took(call)[0] / steps * 1e6)
    each = {name: float(np.median(x)) for name, x in times.items()}
    print(f"# {__doc__.splitlines()[0]}\n")
    print(
        f"{size} regions and a thalamus, {steps} steps of {dt} ms, Euler, {os.cpu_count()} cores\n"
    )
    print("| | us per step | first call, s | times forward |\n|---|---|---|---|")
    rows = []
    for name, us in each.items():
        ratio = us / each["forward"]
        rows.append({"name": name, "us": us, "first_s": first[name], "ratio": ratio})
        print(f"| {name} | {us:.2f} | {first[name]:.1f} | {ratio:.2f} |")
    print(f"\nneurolib: {skipped or f'off by {error:.1e} of the range of E'}\n", flush=True)
    return {"title": "thalamus", "rows": rows, "error": error, "skipped": skipped}


def took(call):
    """Return how long a call takes, and its result. [s]"""
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result
