"""Do runs, sweeps and fits that are killed resume to the same bits?

`python -m benchmarks kill`: child processes with `save=` are killed by SIGKILL, at a random moment or at
a random place within a write, up to three times in a row. What a last child makes of the folder is
compared with the uninterrupted work, bit for bit. `--kills` says how often.
"""

import hashlib
import io
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import coupling_fn as cf

# Where a child dies: by the clock, or in the write of a checkpoint, from its bytes to its new name.
PLACES = ("clock", "bytes", "fsync", "replace", "named")
WRITES = 20  # in one work that is not interrupted
IN_A_ROW = 3
PATIENCE = 240  # of the parent with a child [s]


def simulated(folder):
    """Simulate a delayed network with noise: a resumed run needs its history and random key."""
    import jax
    import jax.numpy as jnp

    conn = jnp.asarray([[0.0, 0.8, 0.1], [0.5, 0.0, 0.0], [0.0, 0.9, 0.0]])
    lags = jnp.asarray([[9, 12, 20], [11, 10, 9], [9, 30, 9]])
    net = cf.Network(cf.nodes.hopf, 0.5, lags=lags)
    params = cf.Params(cf.nodes.HopfParams(a=0.02), cf.DiffusiveCoupling(conn, k=0.2), noise=0.05)
    start = cf.nodes.HopfState(jnp.ones(3), jnp.arange(3.0))
    state = net.init(start, params, key=jax.random.key(1))
    last, x = cf.simulate(
        net, state, params, 100 * WRITES, record="x", every=2, save=folder, save_every=100
    )
    return last._replace(key=jax.random.key_data(last.key)), x


def swept(folder):
    """Sweep a noisy iteration, with several values per chunk and a last chunk that is not full."""
    import jax
    import jax.numpy as jnp

    def step(value, x, n):
        x = jnp.sin(value * x) + 0.1 * jax.random.normal(jax.random.fold_in(key, n), (2,))
        return x, x.sum()

    def fn(value):
        return jax.lax.scan(partial(step, value), jnp.ones(2), jnp.arange(200))

    key = jax.random.key(0)
    values = jnp.linspace(0.5, 3.0, 3 * WRITES - 1)
    return cf.sweep(fn, values, chunk=3, save=folder, progress=False)


def fitted(folder):
    """Fit from several starts, with noise on the data and on the gradient."""
    import jax
    import jax.numpy as jnp
    import optax

    def loss(params, noise):
        return jnp.sum((params["x"] - jnp.asarray([0.3, -2.0])) ** 2 * (1 + 0.5 * noise))

    def batch(step):
        return jax.random.uniform(jax.random.fold_in(jax.random.key(3), step), (2,))

    result = cf.fit(
        loss,
        {"x": jnp.zeros(2)},
        where=lambda p: p["x"],
        batch=batch,
        optimizer=optax.chain(optax.add_noise(0.1, 0.5, 0), optax.adam(0.1)),
        starts=3,
        key=jax.random.key(0),
        steps=5 * WRITES,
        save=folder,
        save_every=5,
        progress=False,
    )
    return result.params, result.losses, result.path, result.starts


WORKS = {"simulate": simulated, "sweep": swept, "fit": fitted}


# --- the child ------------------------------------------------------------------------------------


class Dying(io.BufferedWriter):
    """A file that takes so many bytes and then kills its process."""

    def __init__(self, handle: int, left: int):
        super().__init__(io.FileIO(handle, "wb"))
        self.left = left

    def write(self, data):
        data = memoryview(data).cast("B")
        if len(data) > self.left:
            super().write(data[: self.left])
            self.flush()
            die()
        self.left -= len(data)
        return super().write(data)


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(PATIENCE)  # the signal may take a moment


def watch_writes(place: str, number: int, left: int, pipe: Connection):
    """Report the end of the first write of this process, and die in a later write, at a place in it."""
    fdopen, fsync, replace = os.fdopen, os.fsync, os.replace
    count, named = 0, False

    def here(at):
        return place == at and count == number

    def opened(handle, mode):
        nonlocal count, named
        count, named = count + 1, False
        return Dying(handle, left) if here("bytes") else fdopen(handle, mode)

    def synced(handle):
        if here("named" if named else "fsync"):
            die()
        fsync(handle)

    def replaced(*paths):
        nonlocal named
        if here("replace"):
            die()
        replace(*paths)
        named = True
        if count == 1:
            pipe.send("begun")

    os.fdopen, os.fsync, os.replace = opened, synced, replaced


def child(work: str, folder: str, cache: str, death: tuple[str, int, int], pipe: Connection):
    """Do a work from what is in the folder, and send the digest of the result."""
    import jax

    for name, value in (
        ("jax_compilation_cache_dir", cache),
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        jax.config.update(name, value)
    watch_writes(*death, pipe)
    out = WORKS[work](Path(folder))
    total = hashlib.sha256()
    for x in map(np.asarray, jax.tree.leaves(out)):
        total.update(f"{x.dtype}{x.shape}".encode() + x.tobytes())
    pipe.send(total.hexdigest())


# --- the parent -----------------------------------------------------------------------------------


class Children:
    """Processes forked from a server that has imported the library and touched no device."""

    def __init__(self, cache: str):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["benchmarks.kill"])
        self.cache = cache

    def run(self, work, folder, death=("", 0, 0), after=None):
        """Return a child's digest, None if it died, and the time from its first write to its end [s].

        It is killed `after` so many seconds from that write.
        """
        ours, theirs = self.context.Pipe(duplex=False)
        args = (work, str(folder), self.cache, death, theirs)
        process = self.context.Process(target=child, args=args)
        process.start()
        theirs.close()
        digest, begun = None, None
        try:
            while ours.poll(PATIENCE if after is None or begun is None else after):
                told = ours.recv()
                if told == "begun":
                    begun = time.perf_counter()
                else:
                    digest = told
        except EOFError:  # it has ended, or died by itself
            pass
        took = time.perf_counter() - (begun or time.perf_counter())
        process.kill()
        process.join()
        return digest, took


def main(kills, seed=0):
    """Print a table, and return its rows."""
    print(f"# {__doc__.splitlines()[0]}\n")
    rng = np.random.default_rng(seed)
    died, torn, chains = Counter(), Counter(), Counter()
    with tempfile.TemporaryDirectory() as top:
        children = Children(f"{top}/cache")
        whole, took = {}, {}
        for work in WORKS:
            children.run(work, f"{top}/first")  # compiles
            whole[work], took[work] = children.run(work, f"{top}/whole-{work}")
        while sum(died.values()) < kills:
            chain = sum(chains.values())
            work, folder = [*WORKS][chain % len(WORKS)], Path(f"{top}/{chain}")
            for _ in range(rng.integers(1, IN_A_ROW + 1)):
                place = PLACES[sum(died.values()) % len(PLACES)]
                death = (place, int(rng.integers(1, WRITES // 2)), int(rng.integers(0, 3000)))
                after = rng.uniform(0, took[work]) if place == "clock" else None
                digest, _ = children.run(work, folder, death, after)
                if digest is not None:
                    break  # it finished before it was to die
                died[work, place] += 1
                torn[work] += len(list(folder.glob("*.part"))) > 0
            same = children.run(work, folder)[0] == whole[work]
            chains[work, same and not list(folder.glob("*.part"))] += 1
    names = ("killed by SIGKILL", *PLACES, "left half a file", "resumed", "same bits, and tidy")
    print(f"| {' | '.join(names)} |")
    print("|---" * (len(PLACES) + 4) + "|")
    rows = []
    for work in WORKS:
        counts = [died[work, place] for place in PLACES]
        good, bad = chains[work, True], chains[work, False]
        rows.append(
            {"work": work, **dict(zip(PLACES, counts, strict=True)), "good": good, "bad": bad}
        )
        print(f"| {work} | {' | '.join(map(str, counts))} | {torn[work]} | {good + bad} | {good} |")
    print(f"\n{sum(died.values())} kills.\n", flush=True)
    return {"title": "kill", "rows": rows}


if __name__ == "__main__":
    print(json.dumps(main(200)))
