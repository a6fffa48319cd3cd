"""What does a sweep of long BOLD runs cost, in time and in memory, beside the loop by hand?

Wong-Wang nodes, excitatory and inhibitory, 84 regions, no delays, dt 1 ms, float32. Ten minutes at TR
720 ms for 20 values of G, all at once by `jax.vmap`, with the inhibition that keeps each region at 3 Hz.
`measure=` against a loop over TRs that keeps the record of one, and hands on the state of the Balloon
model; and against a run that measures nothing.
"""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import coupling_fn as cf

MINUTES, TR, DT, STRENGTHS, REGIONS, RATE = 10, 720.0, 1.0, 20, 84, 0.003
RESOLUTION = 5.0  # of the Balloon model [ms]
SCALE = 5.0  # what makes the noise of S_e a usual activity


def main(connectome, dt=DT, minutes=MINUTES, regions=REGIONS, strengths=STRENGTHS):
    """Print the table, and return its rows."""
    print(f"# {__doc__}\n", flush=True)
    if connectome:
        with np.load(connectome) as file:
            weights = jnp.asarray(file["weights"], float)
    else:
        weights = cf.synthetic_connectome(regions, jax.random.key(0)).weights
    W = cf.normalize(weights, by="spectral")
    net = cf.Network(cf.nodes.wong_wang_exc_inh, dt=dt)
    trs, steps_of_tr = int(minutes * 60_000 // TR), round(TR / dt)
    strengths = jnp.linspace(0.05, 0.6, strengths)
    begin = time.perf_counter()
    starts, params = balanced(net, W, strengths)
    print(f"inhibition of {len(strengths)} G: {time.perf_counter() - begin:.1f} s", flush=True)
    vessels = cf.observe.BalloonParams()
    resolution = max(dt, RESOLUTION)

    def nothing(start, params):
        return cf.simulate(net, start, params, trs * steps_of_tr, record=None)[0].node.S_e

    def measured(start, params):
        bold = cf.observe.BalloonBold(
            "S_e", TR, rest=start.node.S_e, scale=SCALE, resolution=resolution
        )
        return cf.simulate(net, start, params, trs * steps_of_tr, measure=bold)[1]

    def by_hand(start, params):
        rest = start.node.S_e

        def tr(carry, _):
            state, blood = carry
            state, x = cf.simulate(net, state, params, steps_of_tr, record="S_e")
            x = cf.observe.temporal_average(SCALE * (x - rest), dt, resolution)
            blood, bold = cf.observe.bold_from_balloon(x, resolution, TR, vessels, state=blood)
            return (state, blood), bold[0]

        blood = cf.observe.balloon_init(rest)
        return jax.lax.scan(tr, (start, blood), None, length=trs)[1]

    rows, results = [], {}
    print(
        "| | s | s of both cores | compiled, s | temporary memory, MB |", "|---" * 5 + "|", sep="\n"
    )
    for name, run in (("nothing", nothing), ("measure=", measured), ("by hand", by_hand)):
        wall, cpu, compiled, memory, results[name] = timed(run, starts, params)
        row = {"name": name, "wall_s": wall, "cpu_s": cpu, "compile_s": compiled, "temp_mb": memory}
        rows.append(row)
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {compiled:.1f} | {memory:.1f} |", flush=True)
    seen, wanted = results["measure="], results["by hand"]
    assert seen.shape == (len(strengths), trs, len(W))
    assert np.isfinite(seen).all()
    error, size = float(abs(seen - wanted).max()), float(abs(wanted).max())
    print(f"\nlargest difference {error:.2g}, of a signal of at most {size:.2g}\n", flush=True)
    return {"title": "bold", "rows": rows, "error": error, "size": size}


def balanced(net, W, strengths):
    """Return where the runs start, and the parameters of each."""

    def one(k, key):
        params = cf.Params(cf.nodes.WongWangExcInhParams(), cf.AdditiveCoupling(W, k=k))
        found = cf.balance_inhibition(net, params, regions=len(W), rate=RATE)
        noisy = eqx.tree_at(
            lambda p: p.noise,
            found.params,
            {"S_e": 0.001, "S_i": 0.001},
            is_leaf=lambda x: x is None,
        )
        return net.init(found.x, noisy, key=key), noisy

    return jax.jit(jax.vmap(one))(strengths, jax.random.split(jax.random.key(1), len(strengths)))


def timed(run, *args):
    """Return times of a run and of its compilation [s], temporary memory [MB], and the result."""
    begin = time.perf_counter()
    program = jax.jit(jax.vmap(run)).lower(*args).compile()
    compiled = time.perf_counter() - begin
    begin, cpu = time.perf_counter(), time.process_time()
    result = np.asarray(jax.block_until_ready(program(*args)))
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    memory = program.memory_analysis()
    assert memory is not None
    return wall, cpu, compiled, memory.temp_size_in_bytes / 1e6, result


if __name__ == "__main__":
    main(None)
