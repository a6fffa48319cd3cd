"""The main job, `python -m coupling_fn`."""

from ._job import main as main
