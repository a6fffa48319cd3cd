"""A progress bar on stderr for long loops."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def progress_bar(total: int, label: str, progress: bool) -> Iterator[Callable[..., None]]:
    """Draw a bar of `total` steps; call the function it yields as `advance(steps, name=value)`."""
    try:
        from tqdm import tqdm
    except ImportError:  # Without the extra `progress` there is no bar.
        tqdm = None
    if tqdm is None or not progress:
        yield _no_bar
        return
    with tqdm(total=total, desc=label) as bar:

        def advance(steps: int = 1, **shown: Any) -> None:
            bar.set_postfix(shown, refresh=False)
            bar.update(steps)

        yield advance


def _no_bar(steps: int = 1, **shown: Any) -> None:
    """Stand in for a bar where none is drawn."""
