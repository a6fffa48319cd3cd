"""Do samplers that take `log_density` as it is agree, converge, and cover the truth?

They sample k and two node parameters of a delayed network, given noisy data. Truths are drawn from the
prior, so that the 90 % intervals of a right posterior hold them in 90 % of the data sets.
Needs `coupling_fn[sample]`.
"""

import time
from functools import partial

REGIONS, STEPS, NOISE = 4, 60, 0.1
CHAINS, WARMUP, DRAWS, DATASETS = 4, 300, 300, 60
LOW, HIGH = (0.02, -0.2, 0.1), (0.3, 0.05, 0.5)  # k, a, omega: the flat prior
NAMES = ("k", "a", "ω")
HEADER = "| | R-hat, BlackJAX | R-hat, NumPyro | NumPyro's mean is off by, errors | covered |"


def problem():
    """Return the log-density of a data set and the data of a truth, as functions."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    import coupling_fn as cf

    connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
    W = cf.normalize(connectome.weights, by="row")
    lags = cf.lags(connectome.lengths, speed=5.0, dt=1.0, weights=W)
    net = cf.Network(cf.nodes.hopf, dt=1.0, lags=lags)
    x0 = cf.nodes.HopfState(jnp.linspace(-1.0, 1.0, REGIONS), jnp.zeros(REGIONS))
    base = cf.Params(cf.nodes.HopfParams(a=-0.05, omega=0.3), cf.DiffusiveCoupling(W, k=0.1))

    def where(params):
        return params.coupling.k, params.node.a, params.node.omega

    def record(params):
        state = net.init(x0, params)
        return cf.simulate(net, state, params, steps=STEPS, record="x")[1]

    def data_of(truth, key):
        clean = record(eqx.tree_at(where, base, tuple(truth)))
        return clean + NOISE * jax.random.normal(key, clean.shape)

    def density_of(data):
        return cf.log_density(
            lambda p: 0.5 * jnp.sum(((record(p) - data) / NOISE) ** 2),
            base,
            where=where,
            transform=tuple(cf.transforms.bounded(*ends) for ends in zip(LOW, HIGH, strict=True)),
        )

    return density_of, data_of


def with_blackjax(density_of, data, key):
    """Draw the leaves by BlackJAX, `(number, chain, draw)`."""
    import blackjax
    import jax
    import jax.numpy as jnp

    density = density_of(data)

    def step(tuned, state, key):
        state, _ = blackjax.nuts(density, **tuned).step(key, state)
        return state, state.position

    def chain(key):
        first, second = jax.random.split(key)
        warmup = blackjax.window_adaptation(blackjax.nuts, density)
        (state, tuned), _ = warmup.run(first, density.start, WARMUP)
        draws = jax.lax.scan(partial(step, tuned), state, jax.random.split(second, DRAWS))[1]
        return jnp.stack(jax.vmap(density.leaves)(draws))

    return jax.vmap(chain, out_axes=1)(jax.random.split(key, CHAINS))


def with_numpyro(density_of, data, key):
    """Draw the same by NumPyro."""
    import jax
    import jax.numpy as jnp
    from numpyro.infer import MCMC, NUTS

    density = density_of(data)
    starts = jax.tree.map(lambda u: jnp.broadcast_to(u, (CHAINS, *u.shape)), density.start)
    sampler = MCMC(
        NUTS(potential_fn=density.potential),
        num_warmup=WARMUP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    sampler.run(key, init_params=starts)
    draws = sampler.get_samples(group_by_chain=True)
    return jnp.stack(jax.vmap(jax.vmap(density.leaves))(draws))


def main():
    """Print the table, and return its rows."""
    import jax
    import numpy as np
    from blackjax.diagnostics import effective_sample_size, potential_scale_reduction

    print(f"# {__doc__}\n", flush=True)
    began = time.perf_counter()
    density_of, data_of = problem()
    rng = np.random.default_rng(0)
    truths = rng.uniform(LOW, HIGH, (DATASETS, 3))
    keys = jax.random.split(jax.random.key(0), DATASETS)
    sample = jax.jit(lambda data, key: with_blackjax(density_of, data, key))
    make, covered, worst = jax.jit(data_of), np.zeros(3), np.zeros(3)
    for truth, key in zip(truths, keys, strict=True):
        data = make(truth.astype(np.float32), key)
        draws = np.asarray(sample(data, jax.random.fold_in(key, 1)), np.float64)
        low, high = np.quantile(draws.reshape(3, -1), (0.05, 0.95), axis=1)
        covered += (low < truth) & (truth < high)
        worst = np.maximum(worst, [float(potential_scale_reduction(x)) for x in draws])
    other = np.asarray(with_numpyro(density_of, data, jax.random.key(2)), np.float64)
    rows = []
    print(f"{DATASETS} data sets, {CHAINS} chains of {DRAWS} draws each\n")
    print(HEADER, "|---" * (HEADER.count("|") - 1) + "|", sep="\n")
    for n, name in enumerate(NAMES):
        pairs = [
            (x[n].mean(), x[n].var() / float(effective_sample_size(x[n]))) for x in (draws, other)
        ]
        off = abs(pairs[0][0] - pairs[1][0]) / np.sqrt(pairs[0][1] + pairs[1][1])
        row = {
            "name": name,
            "rhat_blackjax": worst[n],
            "rhat_numpyro": float(potential_scale_reduction(other[n])),
            "off": off,
            "covered": covered[n] / DATASETS,
        }
        rows.append(row)
        print(
            f"| {name} | {row['rhat_blackjax']:.3f} | {row['rhat_numpyro']:.3f} | {off:.1f} "
            f"| {covered[n]:.0f} of {DATASETS} |",
            flush=True,
        )
    print(f"\n{time.perf_counter() - began:.0f} s\n")
    return {"title": "posterior", "rows": rows}


if __name__ == "__main__":
    main()
