"""Stability of delayed networks and bifurcations, against an independent discretisation and theory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refuses

import coupling_fn as cf

ONE = jnp.zeros((1, 1))


# --- the oracle: a delayed linear system as a large matrix -----------------------------------------


def chebyshev(n):
    """Return the nodes on [-1, 1], from 1 down, and the matrix that differentiates at them."""
    x = np.cos(np.pi * np.arange(n + 1) / n)
    c = np.concatenate([[2.0], np.ones(n - 1), [2.0]]) * (-1.0) ** np.arange(n + 1)
    away = x[:, None] - x[None] + np.eye(n + 1)
    d = c[:, None] / c[None] / away
    return x, d - np.diag(d.sum(1))


def growth(now, past, delays, n):
    """Return the largest real part of the roots of x' = now x + sum_d past_d x(t - delays_d).

    Chebyshev collocation of the infinitesimal generator (D. Breda, S. Maset and R. Vermiglio, SIAM J.
    Sci. Comput. 27, 482, 2005): x over the longest delay is a polynomial of degree n.
    """
    m, longest = len(now), max(np.max(t) for t in delays)
    if longest == 0:
        return np.linalg.eigvals(now + sum(past)).real.max()
    x, d = chebyshev(n)
    generator = np.kron(2 / longest * d, np.eye(m))
    generator[:m] = 0
    generator[:m, :m] = now
    weights = np.concatenate([[0.5], np.ones(n - 1), [0.5]]) * (-1.0) ** np.arange(n + 1)
    for gain, delay in zip(past, delays, strict=True):
        for i, j in zip(*np.nonzero(gain), strict=True):
            away = 1 - 2 * delay[i, j] / longest - x
            if np.abs(away).min() < 1e-14:
                values = (np.abs(away) == np.abs(away).min()).astype(float)
            else:
                values = weights / away
                values /= values.sum()
            generator[i, j::m] += gain[i, j] * values
    return np.linalg.eigvals(generator).real.max()


def test_the_oracle_finds_the_roots_of_hayes():
    for a, tau, k in ((1.0, 5.0, 1.132111728), (5.0, 1.2, 5.488571052), (1.0, 25.0, 1.007276242)):
        delayed = [np.array([[-k]])], [np.array([[tau]])]
        assert abs(growth(np.array([[-a]]), *delayed, 60)) < 1e-8


def draw(seed):
    """Draw a network that is stable without coupling: its node, regions, weights, lags and rule."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 4, 7, 12]))  # each size is compiled anew
    w = rng.normal(size=(n, n)) + rng.choice([-1.0, 0.0, 1.0])
    w *= rng.uniform(size=(n, n)) < rng.choice([0.3, 1.0])
    w += np.diag(np.where(np.abs(w).sum(1) == 0, rng.choice([-1.0, 1.0]), 0.0))
    w /= np.abs(w).sum(1).max()
    lags = rng.integers(0, rng.choice([2, 11, 101]), (n, n))  # of 0.5 ms
    kind = ["linear", "hopf", "fitzhugh_nagumo", "wilson_cowan"][seed % 4]
    node = {
        "linear": lambda: cf.nodes.LinearParams(a=-rng.uniform(0.02, 0.5, n)),
        "hopf": lambda: cf.nodes.HopfParams(
            a=-rng.uniform(0.01, 0.3, n), omega=rng.uniform(0.02, 0.5, n)
        ),
        "fitzhugh_nagumo": lambda: cf.nodes.FitzHughNagumoParams(current=rng.uniform(0.0, 0.2, n)),
        "wilson_cowan": lambda: cf.nodes.WilsonCowanParams(P=rng.uniform(0.0, 0.8, n)),
    }[kind]()
    rule = [cf.AdditiveCoupling, cf.DiffusiveCoupling][int(rng.integers(2))]
    return getattr(cf.nodes, kind), node, rule, w, lags


def check_against_the_oracle(seed, points=4, high=2.0):
    """Require the critical k to 1e-6, by the discretised system on both sides and everywhere below."""
    node, of_node, rule, w, lags = draw(seed)
    n = len(w)
    net = cf.Network(node, 0.5, lags=lags, lag_bounds=(0, 100))
    params = cf.Params(of_node, rule(jnp.asarray(w)))
    x = node.State(*[jnp.zeros(n) for _ in node.states])
    found = cf.bifurcation(net, params, x, 0.0, high)
    if found.kind == "unsure":
        return found.kind
    k = float(found.value) if found.kind != "none" else high
    assert found.kind != "missing"

    def growth_at(k, x):
        there = eqx.tree_at(lambda p: p.coupling.k, params, jnp.asarray(k))
        x = cf.fixed_point(net, there, x)
        jac = cf.jacobians(net, there, x)
        m = len(node.states) * n
        past = [np.asarray(g).reshape(m, m) for g in jac.gains]
        delays = [np.tile(np.asarray(d), (len(node.states),) * 2) for d in jac.delays]
        now = np.asarray(jac.instantaneous).reshape(m, m)
        scale = np.abs(now).sum(1).max() + sum(np.abs(g).sum(1).max() for g in past)
        turns = min(scale, 1.0) * max(d.max() for d in delays) / 2
        return growth(now, past, delays, int(min(20 + turns, 50))), x

    if found.kind == "unstable":
        return found.kind if growth_at(0.0, x)[0] > -1e-9 else "wrong: stable at 0"
    for near in [*np.linspace(0, 1, points)[:-1], 1 - 1e-6]:
        at, x = growth_at(k * near, x)
        if not at < 1e-10:
            return f"wrong: {found.kind} at {k}, unstable at {near} of it: {at}"
    if found.kind not in ("none", "fold"):
        at, _ = growth_at(k * (1 + 1e-6), found.x)
        if not at > -1e-10:
            return f"wrong: {found.kind} at {k}, stable above: {at}"
    return found.kind
