"""One implementation, one problem, one process: `python -m benchmarks._worker NAME DIR REPEATS`.

Reads DIR/problem.npz; writes DIR/NAME.npz, the answer, and DIR/NAME.json, what it cost.
"""

import importlib
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from ._problem import SWEEP, K, Unsupported, load_problem, loss

PACKAGES = (
    "jax",
    "jaxlib",
    "numpy",
    "numba",
    "equinox",
    "brainmass",
    "brainstate",
    "tvboptim",
    "vbjax",
)


def main(name, folder, repeats):
    folder = Path(folder)
    try:
        answer, costs = measure(name, load_problem(folder / "problem.npz"), repeats)
        np.savez(folder / f"{name}.npz", *answer)
    except Unsupported as why:
        costs = {"skipped": str(why)}
    except ModuleNotFoundError as why:
        mine = why.name.split(".")[0] in (__package__, "coupling_fn")
        costs = {"failed": str(why)} if mine else {"skipped": f"{why.name} is not installed"}
    except Exception as why:
        costs = {"failed": f"{type(why).__name__}: {str(why).strip().splitlines()[0]}"}
    (folder / f"{name}.json").write_text(json.dumps(costs))


def measure(name, problem, repeats):
    """Answer in this process; return the answer, and what it cost.

    A module may name several ways to do it, `variants`: the fastest of a short trial is measured.
    """
    module = importlib.import_module(module_of(name))
    names = module.variants(problem) if hasattr(module, "variants") else ()
    if names:
        tried = {variant: trial(module, problem, variant) for variant in names}
        chosen = min(tried, key=tried.get)
        run, costs = module.build(problem, chosen), {"variant": chosen, "tried_s": tried}
    else:
        run, costs = module.build(problem), {}
    answer, of_run = time_of(module, problem, run, problem.case.quantity, repeats)
    costs |= of_run
    if problem.case.quantity != "forward":
        costs["forward_times_s"] = time_of(module, problem, run, "forward", repeats)[1]["times_s"]
    elif hasattr(module, "build_uncoupled"):
        alone = module.build_uncoupled(problem)
        costs["uncoupled_times_s"] = time_of(module, problem, alone, "forward", repeats)[1][
            "times_s"
        ]
    return answer, costs | {"python": platform.python_version(), "versions": versions()}


TRIAL = 2  # timed calls of each variant


def trial(module, problem, variant):
    """Return the least time of a few calls."""
    run = module.build(problem, variant)
    return min(time_of(module, problem, run, problem.case.quantity, TRIAL)[1]["times_s"])


def time_of(module, problem, run, asked, repeats):
    """Compile and call what is asked of a run; return its answer, and what it cost."""
    case = problem.case
    k = np.asarray(SWEEP if asked == "sweep" else K, case.dtype)
    args = k, problem.weights.astype(case.dtype)
    if getattr(module, "COMPILES_ITSELF", False):
        start = time.perf_counter()
        function, ready, costs = run, lambda x: x, {"device": "cpu"}
        args = (args[0][()], args[1])
        function(*args)
    else:
        import jax

        args = [jax.numpy.asarray(x) for x in args]
        start = time.perf_counter()
        function = jax.jit(quantity(run, asked)).lower(*args).compile()
        ready = jax.block_until_ready
        memory = function.memory_analysis()
        costs = {
            "device": jax.devices()[0].device_kind,
            "temp_mb": memory.temp_size_in_bytes / 1e6 if memory else None,
        }
    costs["compile_s"] = time.perf_counter() - start
    answer = ready(function(*args))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        ready(function(*args))
        times.append(time.perf_counter() - start)
    answer = answer if isinstance(answer, tuple | list) else [answer]
    return [np.asarray(x) for x in answer], costs | {"times_s": times}


def module_of(name):
    return "benchmarks._ours" if name == "coupling_fn" else f"benchmarks._peers.{name}"


def quantity(run, name):
    """Turn `run(k, conn)`, which gives x over time, into what is asked of it."""
    import jax

    if name == "forward":
        return run
    if name == "sweep":
        return jax.vmap(lambda k, conn: (run(k, conn) ** 2).mean(0), in_axes=(0, None))
    argument = {"grad_k": 0, "grad_conn": 1}[name]
    return jax.value_and_grad(lambda k, conn: loss(run(k, conn)), argument)


def find_version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions():
    found = {package: find_version(package) for package in PACKAGES}
    return {package: version for package, version in found.items() if version}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
