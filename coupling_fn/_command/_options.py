"""The options of `python -m coupling_fn`, and errors of one line."""

import argparse
from pathlib import Path
from typing import Any

SPEED = 10.0  # [mm/ms]
# The names of `PRESETS`, which cannot be asked before JAX is loaded.
MODELS = [
    "hopf",
    "stuart_landau",
    "linear",
    "threshold_linear",
    "horn",
    "kuramoto",
    "xy",
    "fitzhugh_nagumo",
    "van_der_pol",
    "generic_2d_oscillator",
    "wilson_cowan",
    "jansen_rit",
    "wendling",
    "reduced_wong_wang",
    "wong_wang_exc_inh",
    "thalamus",
    "canonical_microcircuit",
    "naskar",
    "wilson_cowan_divisive",
    "epileptor",
    "zetterberg_jansen",
    "epileptor_codim3",
    "epileptor_codim3_slow_mod",
    "epileptor_resting_state",
    "hopfield",
    "epileptor_2d",
    "larter_breakspear",
    "lorenz",
    "montbrio_pazo_roxin",
    "coombes_byrne",
    "izhikevich",
    "tsodyks_markram",
    "gast_schmidt_knosche_sd",
    "gast_schmidt_knosche_sf",
    "dumont_gutkin",
    "coombes_byrne_2d",
    "zerlaut_first_order",
    "zerlaut_second_order",
    "reduced_set_fitzhugh_nagumo",
    "reduced_set_hindmarsh_rose",
    "k_ion_ex",
]


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> Any:
        """Print the message, and leave with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def make_parser() -> argparse.ArgumentParser:
    """Declare the options."""
    parser = Parser(
        prog="python -m coupling_fn",
        description="Find the coupling strength k at which a network of node models on a connectome "
        "has the functional connectivity (FC) of the data: sweep k, then fit it by gradient.",
        epilog="The result goes to result.json, and a picture of it to report.png. Without options, "
        "the connectome is synthetic and the FC is simulated at a known k, which the fit should "
        "recover.",
    )
    add = parser.add_argument
    add(
        "--connectome",
        metavar="FILE",
        help="the weights, one row per target region, or edges: .csv, .tsv, .txt, .npy, or, with the "
        "tract lengths in it, .zip or .h5 (TVB), .npz, .mat or .graphml; or tvb:76 of tvb-data, and so "
        "66, 68, 96, 192 (default: a synthetic connectome)",
    )
    add(
        "--lengths",
        metavar="FILE",
        help="the tract lengths [mm], if that file holds none: .csv, .tsv, .txt, .npy, .npz, .mat, .h5",
    )
    add(
        "--keys",
        metavar="PART=NAME",
        nargs="+",
        default=[],
        help="what weights, lengths, labels or centres are called in those files, such as weights=A; "
        "lengths= leaves them out",
    )
    add(
        "--symmetrize",
        action="store_true",
        help="take the mean of both directions, as where only one triangle of the weights is filled",
    )
    add("--no-delays", action="store_true", help="run without delays; no tract lengths are needed")
    add(
        "--target-fc",
        metavar="FILE",
        help="the FC to reach: .csv, .tsv, .txt, .npy, or .npz, .mat or .h5 (its array fc, or its only "
        "one) (default: simulated at a known k)",
    )
    add(
        "--nodes",
        type=int,
        metavar="N",
        help="number of regions of the synthetic connectome (default: 68)",
    )
    add(
        "--node",
        choices=MODELS,
        metavar="MODEL",
        default="hopf",
        help=f"the model of each region (default: %(default)s): {', '.join(MODELS)}",
    )
    add(
        "--dt",
        type=float,
        metavar="MS",
        help="time step [ms] (default: 1, or less for faster models)",
    )
    add(
        "--speed",
        type=float,
        metavar="MM/MS",
        help=f"conduction speed along the tracts [mm/ms] (default: {SPEED:g})",
    )
    add(
        "--duration",
        type=float,
        metavar="S",
        help="duration of each of the runs at a k [s] (default: 2, or less for faster models)",
    )
    add(
        "--seed",
        type=int,
        metavar="N",
        default=0,
        help="seed of the synthetic connectome and of the noise (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where to write result.json and report.png (default: the current folder)",
    )
    add("--quiet", action="store_true", help="show no progress bars")
    return parser
