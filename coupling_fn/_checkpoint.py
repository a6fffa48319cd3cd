"""A fit on disk: written whole or not at all, and taken up only by the fit that wrote it."""

import hashlib
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._types import PyTree

FILE = "fit.npz"


def fingerprint(traced: Any, arrays: PyTree) -> dict[str, str]:
    """What makes a fit the same fit: its program, with the constants in it, and its numbers.

    The program holds what no argument shows: a learning rate, data that the loss closes over.
    """
    program = re.sub(r"0x[0-9a-f]+", "", str(traced.jaxpr.jaxpr))  # addresses of functions
    consts = [x for x in jax.tree.leaves(traced.jaxpr.consts) if hasattr(x, "dtype")]
    return {
        "loss, batch or optimizer": _digest([np.frombuffer(program.encode(), np.uint8), *consts]),
        "params, transforms, starts or data": _digest(jax.tree.leaves(arrays)),
    }


def save(folder: Path, carry: PyTree, rows: dict[str, np.ndarray], problem: dict[str, str]) -> None:
    """Write the state of a fit, so that at any moment the file is an old or a new one, whole."""
    leaves = {f"carry_{i}": _plain(x) for i, x in enumerate(jax.tree.leaves(carry))}
    arrays: dict[str, Any] = {"problem": np.asarray(json.dumps(problem)), **leaves, **rows}
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / FILE)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name, too, must outlive a loss of power
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)


def load(
    folder: Path, carry: PyTree, problem: dict[str, str]
) -> tuple[PyTree, dict[str, np.ndarray]] | None:
    """Read what `save` wrote, if there is something; refuse what another fit wrote."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            found = dict(file)
        theirs = json.loads(str(found.pop("problem")))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"`save`: {path} is not a fit that can be gone on with: {error}") from None
    changed = [what for what, digest in problem.items() if theirs.get(what) != digest]
    if changed:
        raise ValueError(
            f"`save`: {path} holds another fit: its {' and its '.join(changed)} differ. Give a "
            "folder of its own to each fit, or remove the file to begin anew."
        )
    leaves, tree = jax.tree.flatten(carry)
    back = [_like(found.pop(f"carry_{i}"), leaf) for i, leaf in enumerate(leaves)]
    return tree.unflatten(back), found


def _is_key(x: Any) -> bool:
    return jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key)


def _plain(x: Any) -> np.ndarray:
    """An array that npz can hold as it is: a random key as its numbers."""
    if hasattr(x, "dtype") and _is_key(x):
        return np.asarray(jax.random.key_data(x))
    x = np.asarray(x)
    return x.view(np.uint8) if x.dtype.kind == "V" else x  # bfloat16 and its like


def _like(x: np.ndarray, leaf: Any) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(jax.numpy.asarray(x), impl=jax.random.key_impl(leaf))
    return jax.numpy.asarray(x.view(leaf.dtype) if x.dtype != leaf.dtype else x)


def _digest(arrays: list[Any]) -> str:
    total = hashlib.sha256()
    for x in arrays:
        x = np.ascontiguousarray(_plain(x))
        total.update(f"{x.dtype}{x.shape}".encode())
        total.update(x.tobytes())
    return total.hexdigest()
