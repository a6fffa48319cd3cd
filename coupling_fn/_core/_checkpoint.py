"""Checkpoint files: written as a whole or not at all, and read only by the work that wrote them."""

import contextlib
import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

from ._check import is_key, known
from ._types import PyTree


class Interrupted(KeyboardInterrupt):
    """Raised by Ctrl-C during `fit`, `evolve`, `sweep`, or `simulate` with `save`; holds what is done.

    Attributes:
        partial: what the function would have returned for the part that was finished; None if
            no part was.

    Example:
        >>> def impatient(step, loss, params):  # as if Ctrl-C were pressed
        ...     if step == 3:
        ...         raise KeyboardInterrupt
        >>> try:
        ...     result = cf.fit(
        ...         lambda p: p**2,
        ...         jnp.asarray(1.0),
        ...         where=lambda p: p,
        ...         callback=impatient,
        ...         progress=False,
        ...     )
        ... except cf.Interrupted as interrupted:
        ...     result = interrupted.partial
        >>> len(result.losses)
        4
    """

    def __init__(self, partial: Any):
        super().__init__("Interrupted. This exception's `partial` holds what was finished.")
        self.partial = partial


def fingerprint(program: str, traced: ClosedJaxpr, numbers: str, arrays: PyTree) -> dict[str, str]:
    """Return digests that tell whether two calls do the same work: of the program and of the numbers.

    The program includes what no argument shows, such as a learning rate or data that a function closes
    over. The version of JAX is part of the work, since another version need not give the same bits.

    Args:
        program: the words that errors use for the program.
        traced: the program.
        numbers: the words that errors use for the numbers.
        arrays: the numbers.
    """
    # Addresses of functions differ from process to process.
    text = re.sub(r"0x[0-9a-f]+", "", str(traced.jaxpr))
    consts = [x for x in jax.tree.leaves(list(_constants(traced))) if hasattr(x, "dtype")]
    if not known(consts, arrays):
        raise ValueError(
            f"`save` writes files, which is not possible inside `jit`, `vmap` or `grad`: {program} "
            "closes over a traced value."
        )
    return {
        "version of JAX": jax.__version__,
        program: _digest([np.frombuffer(text.encode(), np.uint8), *consts]),
        numbers: _digest(jax.tree.leaves(arrays)),
    }


def _constants(program: Any) -> Iterator[Any]:
    """Yield the arrays that a program closes over, and those that programs within it close over."""
    if isinstance(program, ClosedJaxpr):
        yield from program.consts
        program = program.jaxpr
    for equation in program.eqns:
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(part):
                yield from _constants(part)


def _is_program(x: Any) -> bool:
    return isinstance(x, (ClosedJaxpr, Jaxpr))


def write_checkpoint(path: Path, arrays: dict[str, np.ndarray], marks: dict[str, str]) -> None:
    """Write arrays so that at every moment the file is whole, either the old or the new one.

    Args:
        path: the file; its folder is made if it does not exist.
        arrays: what to write.
        marks: the `fingerprint` of the work.

    Raises:
        OSError: if the file cannot be written; the old one is then unchanged.
    """
    write_arrays("save", path, arrays, marks)


def write_arrays(
    argument: str, path: Path, arrays: dict[str, np.ndarray], marks: dict[str, Any]
) -> None:
    """Write arrays and marks, which JSON can hold, as `write_checkpoint`; errors name the argument."""
    kinds = {name: (x.dtype.name, x.shape) for name, x in arrays.items() if _is_foreign(x)}
    whole: dict[str, Any] = {name: _plain(x) for name, x in arrays.items()}
    whole |= {"marks": np.asarray(json.dumps(marks)), "kinds": np.asarray(json.dumps(kinds))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        left = list(path.parent.glob(f"{path.name}.*.part"))  # What killed writes left behind.
        handle, temporary = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **whole)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            for old in left:
                old.unlink(missing_ok=True)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(
            f"`{argument}`: cannot write {path}: {error}. What was written before is unchanged."
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a loss of power."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # Some file systems cannot sync a folder.
                os.fsync(handle)
        finally:
            os.close(handle)


def read_checkpoint(path: Path, marks: dict[str, str], work: str) -> dict[str, np.ndarray] | None:
    """Read what `write_checkpoint` wrote; refuse what other work wrote.

    Args:
        path: the file.
        marks: the `fingerprint` of the work.
        work: the word that errors use for it: "fit", "sweep" or "run".

    Returns:
        The arrays, or None if there is no file.

    Raises:
        ValueError: if the file is damaged, or was written by other work.
    """
    if not path.exists():
        return None
    try:
        found, theirs = read_arrays(path)
    except Exception as error:  # A damaged file can raise nearly anything.
        raise ValueError(
            f"`save`: {path} is not a {work} that can be continued ({error}). Remove it to start again."
        ) from None
    changed = [what for what, digest in marks.items() if theirs.get(what) != digest]
    if changed:
        raise ValueError(
            f"`save`: {path} holds another {work}: its {' and its '.join(changed)} changed, "
            "or a value in what it is made of, such as parameters or a state. Give each "
            f"{work} a folder of its own, or remove the file to start again."
        )
    return found


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays and the marks that `write_arrays` wrote; a damaged file raises any error."""
    with zipfile.ZipFile(path) as packed:
        if any(member.compress_type != zipfile.ZIP_STORED for member in packed.infolist()):
            raise ValueError("it is compressed, and could unpack to any size")
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        found = dict(file)
    marks, kinds = (dict(json.loads(str(found.pop(name)))) for name in ("marks", "kinds"))
    for name, (dtype, shape) in kinds.items():
        found[name] = found[name].view(jax.numpy.dtype(dtype)).reshape(shape)
    return found, marks


def require_no_keys(what: str, like: PyTree) -> None:
    """Refuse results with random keys, which `save` cannot write."""
    if any(map(is_key, jax.tree.leaves(like))):
        raise TypeError(
            f"`save` writes numbers, but `{what}` returns random keys: return their "
            "`jax.random.key_data` instead."
        )


def as_arrays(name: str, tree: PyTree) -> dict[str, np.ndarray]:
    """Convert the leaves of a pytree to NumPy arrays, random keys to their numbers."""
    return {f"{name}_{i}": _numbers(x) for i, x in enumerate(jax.tree.leaves(tree))}


def as_tree(name: str, arrays: dict[str, np.ndarray], like: PyTree) -> PyTree:
    """Rebuild the pytree that `as_arrays` was given, of NumPy arrays, with random keys as in `like`."""
    leaves, tree = jax.tree.flatten(like)
    return tree.unflatten([_like(arrays[f"{name}_{i}"], leaf) for i, leaf in enumerate(leaves)])


def _numbers(x: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if hasattr(x, "dtype") and is_key(x) else x)


def _like(x: np.ndarray, leaf: Any) -> Any:
    if not is_key(leaf):
        return x
    return jax.random.wrap_key_data(jax.numpy.asarray(x), impl=jax.random.key_impl(leaf))


def _is_foreign(x: np.ndarray) -> bool:
    """Return whether the dtype is not one of NumPy's, such as bfloat16, which an npz file forgets."""
    return x.dtype.kind == "V"


def _plain(x: np.ndarray) -> np.ndarray:
    return np.atleast_1d(x).view(np.uint8) if _is_foreign(x) else x


def _digest(arrays: list[Any]) -> str:
    total = hashlib.sha256()
    for x in arrays:
        x = np.ascontiguousarray(_numbers(x))
        total.update(f"{x.dtype}{x.shape}".encode())
        total.update(x.tobytes())
    return total.hexdigest()
