"""The main job, `python -m coupling_fn`."""

from ._main import main as main
