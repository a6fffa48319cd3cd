"""Evolution by ask and tell: as a loop by hand, after a kill, and with losses that fail."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Compass, assert_close, refuses

import coupling_fn as cf
from coupling_fn._evolution import _generations

KEY = jax.random.key(0)
EVOSAX = pytest.mark.skipif(
    not importlib.util.find_spec("evosax"), reason="the extra evolve is not installed"
)
BOUNDED = cf.transforms.bounded


def squares(p):
    return jnp.sum((p["x"] - jnp.asarray([1.0, -2.0], p["x"].dtype)) ** 2) + p["b"]


def at(x=(0.0, 0.0), dtype="float64"):
    return {"x": jnp.asarray(x, dtype), "b": jnp.asarray(0.5, dtype)}


def search(loss=squares, params=None, **given):
    """Evolve x by the compass, which is deterministic, and says so with fewer words."""
    options = {"where": lambda p: p["x"], "key": KEY, "method": Compass, "population": 5}
    options |= {"generations": 12, "progress": False} | given
    return cf.evolve(loss, at() if params is None else params, **options)


def by_hand(loss, forward, start, spread, generations):
    """A compass search in NumPy, in float64: where each generation was best, and its loss."""
    centre, reach, rows = np.zeros(2), 1.0, []
    for _ in range(generations):
        members = [centre + reach * np.asarray(way) for way in Compass.WAYS]
        values = [[forward(u) for u in start + spread * m] for m in members]
        losses = [loss(*v) for v in values]
        best = int(np.argmin(losses))
        rows.append((losses[best], values[best]))
        centre, reach = members[best], reach * Compass.NARROWER
    return np.asarray([row[0] for row in rows]), np.asarray([row[1] for row in rows])


@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_search_is_a_loop_over_generations(dtype, chunk):
    """In the range from -4 to 6, with a spread that is not 1, from a start that is not its middle."""
    got = search(
        params=at((0.3, -0.5), dtype), transform=BOUNDED(-4.0, 6.0), spread=0.7, chunk=chunk
    )
    start = np.asarray([-np.log(10.0 / (x + 4.0) - 1.0) for x in (0.3, -0.5)])
    losses, path = by_hand(
        lambda a, b: (a - 1.0) ** 2 + (b + 2.0) ** 2 + 0.5,
        lambda u: -4.0 + 10.0 / (1.0 + np.exp(-u)),
        start,
        0.7,
        12,
    )
    assert got.params["x"].dtype == got.path.dtype == got.losses.dtype == dtype
    rough = {"ulps": 4000}  # a loss near its minimum is a difference of what is rounded
    assert_close(got.losses, losses.astype(dtype), **rough)
    assert_close(got.path, path.astype(dtype), **rough)
    assert got.best_step == losses.argmin() and got.loss == got.losses.min()
    assert_close(got.params["x"], path[losses.argmin()].astype(dtype), **rough)
    assert_close(got.last_params["x"], path[-1].astype(dtype), **rough)
    assert got.params["b"] == 0.5 and got.starts is None and not got.stopped


def test_starts_are_searches_side_by_side():
    starts = jnp.asarray([[0.0, 0.0], [3.0, 3.0], [-5.0, 1.0]])
    got = search(starts=starts)
    alone = [search(params=at(start)) for start in starts]
    assert_close(got.starts.losses, np.stack([one.losses for one in alone]), ulps=8)
    assert_close(got.starts.best, np.stack([one.params["x"] for one in alone]), ulps=8)
    best = int(np.argmin([one.loss for one in alone]))
    assert_close(got.path, alone[best].path, ulps=8)
    assert got.loss == min(got.starts.loss)


def test_drawn_starts_begin_at_the_parameters():
    few, many = (search(starts=n, generations=2, spread=0.1) for n in (1, 4))
    assert_close(few.starts.losses[0], search(generations=2, spread=0.1).losses, ulps=8)
    assert len(np.unique(many.starts.losses[:, 0])) == 4


class Kept:
    """A method that begins from members and their losses, and keeps the best."""

    default_params = ()

    def __init__(self, population_size, solution):
        self.size = population_size

    def init(self, key, population, fitness, params):
        return population, fitness

    def ask(self, key, state, params):
        best = state[0][jnp.argmin(state[1])]
        return best + 0.3 * jax.random.normal(key, state[0].shape), state

    def tell(self, key, population, fitness, state, params):
        better = fitness < state[1]
        kept = jnp.where(better[:, None], population, state[0])
        return (kept, jnp.where(better, fitness, state[1])), {}


def test_a_method_may_begin_from_members():
    far = at((1.0, -2.0))  # the minimum itself: a drawn member cannot be better
    got = search(params=far, method=Kept, generations=1)
    assert got.loss == 0.5 and (got.params["x"] == far["x"]).all()
    got = search(method=Kept, generations=60, population=8, patience=50)
    assert got.loss < 0.51 and got.losses[0] > 1.0


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_loss_that_is_not_finite_is_the_worst(bad):
    """Beyond x = 0.9 there is no loss: the search goes along that border, as one with a wall does."""

    def walled(p, beyond):
        return jnp.where(p["x"][0] > 0.9, beyond, squares(p))

    def wall(p):
        return walled(p, 1e6)

    with pytest.warns(RuntimeWarning, match=r"\d+ of 60 losses were not finite, and counted as"):
        got = search(lambda p: walled(p, bad))
    assert np.array_equal(got.path, search(wall).path) and (got.path[:, 0] <= 0.9).all()


def test_a_generation_without_a_loss_is_lost():
    """Of a compass from 0 only the first reach of 1 has a loss; what follows is NaN."""

    def once(p):
        return jnp.where(jnp.abs(p["x"]).sum() == 1.0, squares(p), jnp.nan)

    with pytest.warns(
        RuntimeWarning, match="stopped early. No loss of a generation was finite, 3 "
    ):
        got = search(once, retries=2, method=lambda **given: Compass(**given, still=False))
    assert len(got.losses) == 1 and got.retries == 3 and got.best_step == 0
    assert np.array_equal(got.params["x"], [0.0, -1.0]) and "smaller `spread`" in got.stopped
    with refuses("No `loss` was finite in 3 generations of 5 members"):
        search(lambda p: squares(p) * jnp.nan, retries=2)
    with refuses("No `loss` was finite in 2 generations of 5 members"):
        search(lambda p: squares(p) * jnp.nan, generations=2, method=Kept)


def test_a_start_without_a_loss_leaves_the_others_alone():
    def half(p):
        return jnp.where(p["x"][0] > 50.0, jnp.nan, squares(p))

    starts = jnp.asarray([[100.0, 0.0], [0.0, 0.0]])
    with pytest.warns(RuntimeWarning, match="60 of 120 losses"):
        got = search(half, starts=starts, retries=1)
    assert np.isnan(got.starts.losses[0]).all() and got.starts.loss[0] == np.inf
    assert_close(got.losses, search(half).losses, ulps=8)


def test_patience_and_the_callback_end_a_search():
    seen = []

    def stop(generation, loss, params):
        seen.append((generation, loss, float(squares(params))))
        return generation == 3

    got = search(callback=stop)
    assert [row[0] for row in seen] == [0, 1, 2, 3] and len(got.losses) == 4
    assert [row[1] for row in seen] == got.losses.tolist()
    assert_close(np.asarray([row[2] for row in seen]), got.losses, ulps=8)
    assert "callback ended the search after 4" in got.stopped
    flat = search(lambda p: 0.0 * squares(p) + 1.0, patience=3)
    assert len(flat.losses) == 4 and "No start was better for 3 generations" in flat.stopped
    slow = search(patience=2, tolerance=0.5)
    assert len(slow.losses) < len(search(patience=2).losses)


def test_ctrl_c_hands_over_what_was_finished(monkeypatch):
    def impatient(generation, loss, params):
        if generation == 2:
            raise KeyboardInterrupt

    with pytest.raises(cf.Interrupted) as caught:
        search(callback=impatient)
    partial = caught.value.partial
    assert_close(partial.losses, search(generations=3).losses, ulps=0)
    assert partial.stopped == "Interrupted after 3 generations."

    def at_once(*args, **given):
        raise cf.Interrupted(None)

    monkeypatch.setattr(_generations, "sweep_quietly", at_once)
    with pytest.raises(cf.Interrupted) as caught:
        search()
    assert caught.value.partial is None


def test_a_second_search_does_not_trace():
    loss = eqx.debug.assert_max_traces(squares, max_traces=1)
    search(loss)
    search(loss, params=at((1.0, 1.0)), key=jax.random.key(5), spread=0.5)


def test_members_spread_over_devices():
    assert_close(search(devices=jax.devices()).losses, search().losses, ulps=8)


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.array_equal(x, y, equal_nan=isinstance(x, np.ndarray))


@pytest.mark.parametrize("method", [Compass, Kept])
@pytest.mark.parametrize("starts", [None, 2])
def test_a_search_goes_on_from_its_folder(tmp_path, method, starts):
    given = {"method": method, "starts": starts, "patience": 100}
    whole = search(**given)

    def killed(generation, loss, params):
        if generation == 4:
            raise KeyboardInterrupt

    with pytest.raises(cf.Interrupted):
        search(**given, save=tmp_path, callback=killed)
    counted = []
    same(search(**given, save=tmp_path, callback=lambda n, *_: counted.append(n)), whole)
    assert counted == list(range(5, 12))
    same(search(**given, save=tmp_path, generations=15), search(**given, generations=15))


def test_another_search_is_refused(tmp_path):
    search(save=tmp_path, generations=2)
    loss, rest = "its loss or method", "its params, transforms, starts, spread, population or key"
    for changed, given in [
        (loss, {"loss": lambda p: 2.0 * squares(p)}),
        (loss, {"method": lambda **given: Compass(**given, narrower=0.5)}),
        (rest, {"key": jax.random.key(1)}),
        (rest, {"spread": 0.5}),
        (rest, {"params": at((0.0, 0.1))}),
        (rest, {"starts": 2, "population": 6}),
    ]:
        with refuses(f"`save`: .*evolve.npz holds another search: .*{changed}"):
            search(save=tmp_path, **given)


def test_what_a_search_refuses():
    with refuses("`key` must be a key", TypeError):
        search(key=3)
    with refuses("`generations` must be at least 1; got 0"):
        search(generations=0)
    with refuses("`population` must be at least 2; got 1"):
        search(population=1)
    with refuses("`spread` must be positive"):
        search(spread=0.0)
    with refuses("`method` must be a class of evosax.algorithms, or a function, not 3", TypeError):
        search(method=3)
    with refuses("has no default_params, init, ask, tell", TypeError):
        search(method=lambda **given: object())
    with refuses("`callback` must be a function, not 3", TypeError):
        search(callback=3)
    with refuses("`loss` must return one float", TypeError):
        search(lambda p: p["x"])
    with refuses("`tolerance` says what `patience` counts"):
        search(tolerance=0.1)
    with refuses("cf.evolve runs on the host", TypeError):
        jax.jit(lambda x: search(params=at() | {"b": x}).loss)(0.5)
    with refuses("cf.evolve runs on the host", TypeError):
        jax.jit(lambda x: search(lambda p: squares(p) * x).loss)(0.5)
    with refuses("`chunk` must be at least 1"):
        search(chunk=0)


def test_without_evosax_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "evosax.algorithms", None)
    with refuses(r"cf.evolve needs evosax where no `method` is given; .*\[evolve\]", ImportError):
        search(method=None)


# --- the methods of evosax --------------------------------------------------------------------------


@EVOSAX
@pytest.mark.every(3)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["CMA_ES", "DifferentialEvolution", "PSO", "xNES", "Sep_CMA_ES"])
def test_methods_of_evosax_find_a_minimum(name, dtype):
    from evosax import algorithms

    method = getattr(algorithms, name)
    got = search(params=at(dtype=dtype), method=method, population=16, generations=60, starts=2)
    assert (
        got.params["x"].dtype == dtype
        and np.abs(np.asarray(got.params["x"]) - [1.0, -2.0]).max() < 0.02
    )
    assert got.starts.losses.shape == (2, 60) and (got.starts.loss < 0.51).all()


@EVOSAX
def test_what_a_method_refuses_is_said():
    from evosax.algorithms import DifferentialEvolution

    with refuses("`method` refuses a `population` of 3: .*population_size >= 4"):
        search(method=DifferentialEvolution, population=3)


# --- k and speed of a delayed network ---------------------------------------------------------------

REGIONS, DT = 6, 1.0
POPULATION, GENERATIONS = 24, 20


def delayed():
    """Return the loss of k and speed, whose lags are whole steps, and where to start."""
    rng = np.random.default_rng(0)
    connectome = cf.synthetic_connectome(REGIONS, jax.random.key(0))
    W = np.asarray(cf.normalize(connectome.weights, by="row")) * rng.uniform(0.5, 1.5, (6, 6))
    W, lengths = W.astype("float32"), np.clip(connectome.lengths, 20.0, None).astype("float32")
    bounds = cf.lag_bounds(lengths, speed=(2.0, 12.0), dt=DT, weights=W)
    net = cf.Network(cf.nodes.hopf, DT, couplings=cf.Wire("x", into="x"), lag_bounds=bounds)
    x0 = cf.nodes.HopfState(*jnp.asarray(rng.uniform(-1, 1, (2, REGIONS)), "float32"))
    node = cf.nodes.HopfParams(a=jnp.float32(0.02), omega=jnp.float32(0.2))

    def params(k, speed):
        rule = cf.DiffusiveCoupling(W, jnp.float32(k))
        return cf.Params(node, rule, lengths=lengths, speed=jnp.float32(speed))

    def signature(p):
        """Correlations of the regions, at lag 0 and 8 ms later."""
        x = cf.simulate(net, net.init(x0, p, history=0.0), p, 400, record="x")[1][100:]
        x = x - x.mean(0, keepdims=True)
        x = x / jnp.linalg.norm(x, axis=0, keepdims=True)
        return jnp.stack([x.T @ x, x[8:].T @ x[:-8]])

    target = signature(params(0.06, 5.0))
    return lambda p: jnp.sqrt(jnp.mean((signature(p) - target) ** 2)), params(0.2, 9.0)


def find_k_and_speed(seed=0, **given):
    loss, start = delayed()
    return cf.evolve(
        loss,
        start,
        where=lambda p: (p.coupling.k, p.speed),
        key=jax.random.key(seed),
        transform=(BOUNDED(0.0, 0.4), BOUNDED(2.0, 12.0)),
        population=POPULATION,
        progress=False,
        **({"generations": GENERATIONS} | given),
    )


@pytest.mark.thorough
@EVOSAX
@pytest.mark.parametrize("seed", range(3))
def test_480_runs_find_k_and_speed(seed):
    """Both start far off, at 0.2 and 9 mm/ms, and whole lags have no gradient."""
    got = find_k_and_speed(seed)
    assert abs(got.params.coupling.k / 0.06 - 1) < 0.05
    assert abs(got.params.speed / 5.0 - 1) < 0.02
    assert got.loss < 0.05 < 0.2 < got.losses[0]


CHILD = """
import os, signal
import conftest, test_evolve
from coupling_fn._fit import _sweep

write, written = _sweep._Disk.write, []

def deadly(self, first, done):
    found = write(self, first, done)
    written.append(first)
    if len(written) == 11:  # in the fourth generation: three chunks each
        os.kill(os.getpid(), signal.SIGKILL)
    return found

_sweep._Disk.write = deadly
test_evolve.find_k_and_speed(generations=6, save="saved", chunk=8, **test_evolve.IF_ANY)
"""
IF_ANY = {} if importlib.util.find_spec("evosax") else {"method": Compass}


@pytest.mark.thorough
def test_a_search_that_was_killed_goes_on_with_the_same_numbers(tmp_path, monkeypatch):
    """SIGKILL in the midst of a generation; a search without `save` is the reference."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    if jax.config.values["jax_disable_most_optimizations"]:
        env["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=tmp_path, env=env, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    saved = tmp_path / "saved"
    assert sorted(path.name for path in saved.iterdir()) == ["evolve.npz", "generation-000003"]
    assert len(list((saved / "generation-000003").glob("*.npz"))) == 2
    evaluated = []
    write = cf._fit._sweep._Disk.write

    def counted(self, first, done):
        evaluated.append(first)
        return write(self, first, done)

    monkeypatch.setattr(cf._fit._sweep._Disk, "write", counted)
    given = {"generations": 6, "chunk": 8} | IF_ANY
    got = find_k_and_speed(save=saved, **given)
    assert evaluated == [16, 0, 8, 16, 0, 8, 16]  # what was left of the fourth, then two more
    same(got, find_k_and_speed(**given))
    assert [path.name for path in saved.iterdir()] == ["evolve.npz"]
