"""ALN and its tables: against loops in plain numbers; errors in words; files."""

from math import floor, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import TRANSFORMS, assert_close, refuses
from reference.nodes import aln_tables

import coupling_fn as cf

TABLES = aln_tables()
NODE = cf.nodes.aln(cf.nodes.AlnTables(**TABLES))
INPUTS = type("Inputs", (), {})


def looked_up(name, mu, sigma):
    """Interpolate one table in plain numbers; beyond its ends it stays."""
    at = []
    for grid, x in ((TABLES["mu"], mu), (TABLES["sigma"], sigma)):
        steps = min(max((x - grid[0]) / (grid[1] - grid[0]), 0), len(grid) - 1)
        below = min(floor(steps), len(grid) - 2)
        at.append((below, steps - below))
    (i, down), (j, right) = at
    t = TABLES[name]
    upper = t[i, j] + right * (t[i, j + 1] - t[i, j])
    lower = t[i + 1, j] + right * (t[i + 1, j + 1] - t[i + 1, j])
    return upper + down * (lower - upper)


def by_hand(s, c, p):
    """Return the rates of change of one region, from the source's equations."""
    s, tau_m = dict(zip(NODE.states, s, strict=True)), p["C"] / p["g_L"]
    far, far_square, r_e, r_i, current_e, current_i = c
    fired = {"e": p["local"] * s["r_e"] + r_e, "i": p["local"] * s["r_i"] + r_i}
    z1, z2, rates = {}, {}, {}
    for onto in "ei":
        for source in "ei":
            kind, tau = onto + source, p[f"tau_s{source}"]
            step = p[f"c_{kind}"] * tau / abs(p[f"J_{kind}"])
            z1[kind] = step * p[f"K_{source}"] * fired[source]
            z2[kind] = step**2 * p[f"K_{source}"] * fired[source]
            if kind == "ee":
                step = p["c_gl"] * tau / abs(p["J_ee"])
                z1[kind] += step * p["K_gl"] * far
                z2[kind] += step**2 * p["K_gl"] * far_square
            m, v = s[f"s_{kind}"], s[f"v_{kind}"]
            rates[f"s_{kind}"] = ((1 - m) * z1[kind] - m) / tau
            spread = (1 - m) ** 2 * z2[kind] + (z2[kind] - 2 * tau * (z1[kind] + 1)) * v
            rates[f"v_{kind}"] = spread / tau**2
    for onto, current in (("e", current_e), ("i", current_i)):
        square, drive = p[f"sigma_{onto}_ext"] ** 2, p[f"mu_{onto}_ext"] + current
        for source in "ei":
            kind, tau, J = onto + source, p[f"tau_s{source}"], p[f"J_{onto}{source}"]
            square += 2 * J**2 * s[f"v_{kind}"] * tau * tau_m / ((1 + z1[kind]) * tau_m + tau)
            drive += J * s[f"s_{kind}"]
        mean = s[f"mu_{onto}"] - (s["I_A"] / p["C"] if onto == "e" else 0)
        R, V, tau = (looked_up(name, mean, sqrt(square)) for name in ("rate", "V", "tau"))
        rates[f"mu_{onto}"] = (drive - s[f"mu_{onto}"]) / tau
        rates[f"r_{onto}"] = (R - s[f"r_{onto}"]) / p[f"tau_d{onto}"]
        if onto == "e":
            rates["I_A"] = (p["a"] * (V - p["E_A"]) - s["I_A"]) / p["tau_A"] + p["b"] * R
    return [rates[name] for name in NODE.states]


def drawn(regions, dtype="float64"):
    rng = np.random.default_rng(6)
    low, high = np.transpose([NODE.ranges[x] for x in NODE.states])
    states = rng.uniform(low, high, (regions, len(low))).T
    states[2:4] = rng.uniform(-1.0, 3.0, (2, regions))  # beyond both ends of the tables
    inputs = rng.uniform(0.0, 0.05, (len(NODE.inputs), regions))
    default = NODE.Params(a=4.0, b=10.0)
    params = {
        name: np.asarray(x * rng.uniform(0.8, 1.2, regions)) for name, x in vars(default).items()
    }
    cast = lambda x: jnp.asarray(x, dtype)
    made = INPUTS()
    made.__dict__.update(zip(NODE.inputs, map(cast, inputs), strict=True))
    return states, inputs, params, (NODE.State(*map(cast, states)), made, cast)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_aln_is_its_equations(dtype):
    states, inputs, params, (state, made, cast) = drawn(12, dtype)
    got = jax.jit(lambda s, p: NODE(s, made, p))(
        state, NODE.Params(**{name: cast(x) for name, x in params.items()})
    )
    wanted = np.transpose(
        [
            by_hand(states[:, i], inputs[:, i], {name: float(x[i]) for name, x in params.items()})
            for i in range(12)
        ]
    )
    for name, x, y in zip(NODE.states, got, wanted, strict=True):
        assert x.dtype == dtype, name
        # A float32 mean of the input falls between grid points 2e-6 of their distance off.
        assert_close(np.asarray(x), y, ulps=512, scale=max(np.abs(y).max(), 0.1))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_tables_are_interpolated_and_stay_beyond_their_ends(transform):
    tables = cf.nodes.AlnTables(**TABLES)
    mu = jnp.array([-9.0, -0.2, 0.33, 2.2, 9.0, 1.0])
    sigma = jnp.array([1.0, 0.6, 9.0, 3.0, 0.1, 1.234])
    got = TRANSFORMS[transform](lambda *at: tables.read(*at))(mu, sigma)
    for name in ("rate", "V", "tau"):
        wanted = [looked_up(name, float(x), float(y)) for x, y in zip(mu, sigma, strict=True)]
        assert_close(np.asarray(getattr(got, name)), np.array(wanted), ulps=64)
    assert got.rate.ravel()[3] == TABLES["rate"][-1, -1]


def test_a_run_of_aln_has_gradients_and_feels_its_neighbours():
    conn = np.array([[0.0, 0.9, 0.2], [0.1, 0.0, 0.7], [0.6, 0.3, 0.0]])
    net = cf.Network(NODE, 0.1, lags=np.array([[8, 30, 12], [22, 8, 14], [9, 11, 8]]))
    state = NODE.State(*[jnp.full(3, 0.5 * NODE.ranges[name][1]) for name in NODE.states])

    @jax.jit
    def late(k, b, conn):
        params = cf.Params(NODE.Params(b=b, mu_e_ext=0.9), cf.AdditiveCoupling(conn, k))
        x = cf.simulate(net, net.init(state, params), params, 40, record="r_e")[1]
        return jnp.sum(x[-1] * jnp.array([3.0, 1.0, 2.0]))

    k, b, step = 2.0, 10.0, 1e-4
    slopes = jax.jit(jax.grad(late, argnums=(0, 1)))(k, b, conn)
    by_k = (late(k + step, b, conn) - late(k - step, b, conn)) / (2 * step)
    by_b = (late(k, b + step, conn) - late(k, b - step, conn)) / (2 * step)
    np.testing.assert_allclose(slopes, [by_k, by_b], rtol=1e-5)
    assert abs(late(k, b, conn) / late(0.0, b, conn) - 1) > 0.02
    assert abs(late(k, b, conn.T) / late(k, b, conn) - 1) > 1e-3


def test_aln_fits_in_its_units():
    params = cf.Params(NODE.Params(), cf.AdditiveCoupling(np.eye(3)), noise=0.1)
    x = NODE.State(*[jnp.ones(3)] * len(NODE.states))
    report = cf.check_units(cf.Network(NODE, 0.1), params, x)
    assert not report.findings, f"\n{report}"


def test_without_synapses_the_rate_settles_where_the_table_says():
    """And adapts: the mean that drives it is less than the external one by I_A / C."""
    p = NODE.Params(K_e=0.0, K_i=0.0, a=5.0, b=15.0, mu_e_ext=1.6, mu_i_ext=1.1)
    net = cf.Network(NODE, dt=0.1, couplings={}, scheme="rk4")
    start = NODE.State(*[jnp.zeros(1)] * len(NODE.states))
    end = cf.simulate(net, net.init(start, cf.Params(p)), cf.Params(p), 20000)[0].node
    assert float(end.mu_e[0]) == pytest.approx(1.6, rel=1e-6)
    I_A, mean = float(end.I_A[0]), 1.6 - float(end.I_A[0]) / 200.0
    R, V = looked_up("rate", mean, 1.5), looked_up("V", mean, 1.5)
    assert pytest.approx(5.0 * (V + 80.0) + 200.0 * 15.0 * R, rel=1e-6) == I_A
    assert float(end.r_e[0]) == pytest.approx(R, rel=1e-6)
    assert float(end.r_i[0]) == pytest.approx(looked_up("rate", 1.1, 1.5), rel=1e-6)


def test_tables_that_are_none_are_refused():
    table = lambda **given: cf.nodes.AlnTables(**{**TABLES, **given})
    with refuses("`mu` must be a grid of 2 values or more"):
        table(mu=TABLES["mu"][:1])
    with refuses("`sigma` must be finite and increase"):
        table(sigma=TABLES["sigma"][::-1])
    with refuses("`mu` must be evenly spaced"):
        table(mu=np.exp(TABLES["mu"]))
    with refuses(r"`tau` must have the shape of `mu` and `sigma`, \(25, 13\); got \(13, 25\)"):
        table(tau=TABLES["tau"].T)
    with refuses("`V` must be finite"):
        table(V=np.full((25, 13), np.nan))
    with refuses("`rate` must not be negative"):
        table(rate=-TABLES["rate"])
    with refuses("`tau` must be above 0"):
        table(tau=0 * TABLES["tau"])
    with refuses("`tables` must be an AlnTables", TypeError):
        cf.nodes.aln(TABLES)  # pyright: ignore[reportArgumentType]


NAMES = {"mu": "mu_vals", "sigma": "sigma_vals", "rate": "r_ss", "V": "V_mean_ss"}
NAMES |= {"tau": "tau_mu_exp"}


@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_tables_come_back_from_a_file_as_neurolib_names_them(kind, tmp_path):
    path, found = tmp_path / f"tables.{kind}", {NAMES[n]: x for n, x in TABLES.items()}
    if kind == "npz":
        np.savez(path, **found)
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, x in {**found, "tau_sigma_exp": TABLES["tau"]}.items():
                file[name] = x
    tables = cf.nodes.load_aln_tables(path)
    assert all((getattr(tables, name) == x).all() for name, x in TABLES.items())


def test_a_file_without_tables_is_refused(tmp_path):
    with refuses("There is no file", FileNotFoundError):
        cf.nodes.load_aln_tables(tmp_path / "none.npz")
    np.savez(tmp_path / "half.npz", mu_vals=TABLES["mu"], sigma_vals=TABLES["sigma"])
    with refuses("half.npz lacks r_ss, V_mean_ss, tau_mu_exp"):
        cf.nodes.load_aln_tables(tmp_path / "half.npz")
    (tmp_path / "tables.csv").write_text("1")
    with refuses("must end in .h5, .hdf5 or .npz"):
        cf.nodes.load_aln_tables(tmp_path / "tables.csv")
