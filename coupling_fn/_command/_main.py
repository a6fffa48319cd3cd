"""The way in of `python -m coupling_fn`."""

from ._options import make_parser


def main(arguments: list[str] | None = None) -> None:
    """Do the main job; what the options alone decide, such as `--help`, is quick."""
    make_parser().parse_args(
        arguments
    )  # It ends here, before JAX is loaded, or is parsed once more.
    from ._job import main as do_the_job

    do_the_job(arguments)
