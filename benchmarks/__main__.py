"""`python -m benchmarks [NAME ...]`: ask the library and its peers the same questions."""

import argparse
import importlib
import json
import os
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from . import (
    accuracy,
    analytic,
    bold,
    diagnose,
    empirical,
    finite,
    first,
    fit,
    gpu,
    hang,
    hybrid,
    kill,
    length,
    nodes,
    posterior,
    published,
    recovery,
    scaling,
    sparse,
    surface,
    thalamus,
    traced,
)
from ._harness import EVERYONE, compare, machine, pin, table
from ._machine import Watch, describe

COMPARED = ("instantaneous", "delayed", "gradient", "sweep")
ALONE = (
    "sparse",
    "first",
    "fit",
    "nodes",
    "accuracy",
    "recovery",
    "posterior",
    "analytic",
    "empirical",
)
ALONE += (
    "finite",
    "hybrid",
    "kill",
    "hang",
    "diagnose",
    "scaling",
    "traced",
    "length",
    "surface",
    "bold",
    "thalamus",
    "published",
)
APART = ("gpu",)  # only where it is asked for
QUESTIONS = (*COMPARED, *ALONE)
REPEATED = (
    "traced",
    "length",
    "surface",
)  # those of them that are measured again where they must not be published


@dataclass(frozen=True)
class Options:
    """What the command line asks for, in place of a question's own cases."""

    n: list[int] | None
    dt: list[float] | None
    scheme: list[str] | None
    dtype: list[str] | None
    steps: int | None
    connectome: str | None

    def sizes(self, *usual):
        """Numbers of regions."""
        return self.n or usual

    def dts(self, *usual):
        """Time steps [ms]."""
        return self.dt or usual

    def connectomes(self, *usual):
        """Yield the connectome in a file, then synthetic ones; with `--n`, only those of these sizes."""
        real = None
        if self.connectome:
            with np.load(self.connectome) as file:
                real = len(file["weights"])
            if not self.n or real in self.n:
                yield self.connectome, real
        yield from (("synthetic", n) for n in self.sizes(*usual) if n != real)

    def variants(self, small):
        """Return pairs of scheme and dtype: the usual pair, and on a small network others, too."""
        if self.scheme or self.dtype or not small:
            return list(product(self.scheme or ["euler"], self.dtype or ["float32"]))
        others = [("heun", "float32"), ("heun_held", "float32"), ("euler", "float64")]
        return [("euler", "float32"), *others]


def main():
    args = parse()
    if args.cores:
        pin(args.cores)
    options = Options(args.n, args.dt, args.scheme, args.dtype, args.steps, args.connectome)
    results, watch = [], Watch(args.attempts)
    asked = args.name or QUESTIONS
    if (
        not options.connectome
        and not options.n
        and {*asked} & {"delayed", "gradient", "sweep", "fit", "empirical"}
    ):
        print("A real connectome: skipped, for want of --connectome or COUPLING_FN_CONNECTOME.\n")
    own_tables = {
        "first": lambda: [first.main(args.repeats, args.steps or 2000, (args.n or [84])[0])],
        "fit": lambda: fit.main(options, args.timeout),
        "sparse": lambda: sparse.main(options, args.timeout, args.only, args.repeats),
        "nodes": lambda: [nodes.main(args.repeats)],
        "accuracy": lambda: [accuracy.main()],
        "recovery": lambda: [recovery.main()],
        "finite": lambda: [finite.main()],
        "hybrid": lambda: [hybrid.main(*(options.n or [None])[:1], steps=options.steps)],
        "thalamus": lambda: [
            thalamus.main(args.connectome, *options.sizes(16)[:1], options.steps or 4000)
        ],
        "scaling": lambda: scaling.main(options, args.timeout, args.repeats),
        "kill": lambda: [kill.main(args.kills)],
        "hang": lambda: [hang.main(args.calls, *(args.n or [84])[:1])],
        "diagnose": lambda: [diagnose.main()],
        "posterior": lambda: [posterior.main()],
        "published": lambda: [published.main()],
        "analytic": lambda: [analytic.main(args.connectome)],
        "bold": lambda: [bold.main(args.connectome, *options.dts(bold.DT)[:1])],
        "empirical": lambda: [empirical.main(args.connectome)],
        "traced": lambda: traced.main(options, args.repeats),
        "surface": lambda: surface.main(options, args.repeats, args.timeout),
        "gpu": lambda: gpu.main(options, args.budget),
        "length": lambda: length.main(options, args.repeats),
    }
    for question in asked:
        if question in own_tables:
            if question in REPEATED:
                module = importlib.import_module(f"benchmarks.{question}")
                print(f"# {module.__doc__}\n", flush=True)
                tables, state = watch.table(own_tables[question])
                print(*map(module.table, tables), sep="\n")
            else:
                tables, state = watch.table(own_tables[question], attempts=1)
            print(describe(state), flush=True)
            results += tables
            save(results, args.json)
            continue
        module = importlib.import_module(f"benchmarks.{question}")
        print(f"# {module.__doc__}\n")
        names = [name for name in module.NAMES if not args.only or name in args.only]
        for case in module.cases(options):
            measure = partial(compare, case, names, args.repeats, args.timeout, args.rounds)
            (answered,), state = watch.table(lambda measure=measure: [measure()])
            print(table(answered))
            print(describe(state), flush=True)
            results.append(answered)
            save(results, args.json)
    if any(row.get("passed") is False for asked in results for row in asked["rows"]):
        raise SystemExit(1)


def save(results, path):
    if path:
        path.write_text(json.dumps({"machine": machine(), "results": results}, indent=1))


def parse():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "name", nargs="*", help=f"of {', '.join((*QUESTIONS, *APART))}; all but gpu if none"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*EVERYONE, *sparse.PRODUCTS),
        help="these implementations alone",
    )
    parser.add_argument("--n", nargs="+", type=int, help="sizes")
    parser.add_argument("--dt", nargs="+", type=float, help="[ms]")
    parser.add_argument("--scheme", nargs="+", choices=["euler", "heun", "heun_held"])
    parser.add_argument("--dtype", nargs="+", choices=["float32", "float64"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=1, help="turns of everyone; the best counts")
    parser.add_argument(
        "--attempts", type=int, default=3, help="at a table, until it may be published"
    )
    parser.add_argument("--cores", type=int, help="keep everyone to so many cores; all if none")
    parser.add_argument("--budget", type=float, default=420, help="of `gpu` [s]")
    parser.add_argument("--kills", type=int, default=200, help="of `kill`")
    parser.add_argument("--calls", type=int, default=1000, help="of each case of `hang`")
    parser.add_argument("--timeout", type=float, default=900, help="of one implementation [s]")
    parser.add_argument(
        "--connectome",
        default=os.environ.get("COUPLING_FN_CONNECTOME"),
        help="an npz with `weights` and `lengths` [mm]; default $COUPLING_FN_CONNECTOME",
    )
    parser.add_argument("--json", type=Path, help="write results, device and versions here")
    args = parser.parse_args()
    if unknown := set(args.name) - {*QUESTIONS, *APART}:
        there = ", ".join((*QUESTIONS, *APART))
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {there}")
    if min(args.attempts, args.cores or 1) < 1:
        parser.error("--attempts and --cores must be at least 1")
    if args.repeats < 5:
        parser.error("--repeats must be at least 5, for a median to mean anything")
    return args


if __name__ == "__main__":
    main()
