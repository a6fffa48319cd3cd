"""Long work on disk: written whole or not at all, and taken up only by the work that wrote it."""

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
    """Ctrl-C during `fit` or `sweep`, or `simulate` with `save`: `partial` is what was done.

    Attributes:
        partial: what the function would have returned, of the part that was finished; None if
            nothing was.

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
        super().__init__("Interrupted; `partial` of this exception is what was done.")
        self.partial = partial


def fingerprint(program: str, traced: ClosedJaxpr, numbers: str, arrays: PyTree) -> dict[str, str]:
    """What makes work the same work: its program, with the constants in it, and its numbers.

    The program holds what no argument shows: a learning rate, data that a function closes over.
    `program` and `numbers` are the words for both that an error will use. To the bit, another JAX
    does other work.
    """
    text = re.sub(r"0x[0-9a-f]+", "", str(traced.jaxpr))  # addresses of functions
    consts = [x for x in jax.tree.leaves(list(_constants(traced))) if hasattr(x, "dtype")]
    if not known(consts, arrays):
        raise ValueError(
            f"`save` writes files, which is not for inside of jit, vmap or grad: {program} closes "
            "over a value that is not known there."
        )
    return {
        "version of JAX": jax.__version__,
        program: _digest([np.frombuffer(text.encode(), np.uint8), *consts]),
        numbers: _digest(jax.tree.leaves(arrays)),
    }


def _constants(program: Any) -> Iterator[Any]:
    """The arrays that a program closes over, and those that the programs within it do."""
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
    """Write arrays so that at any moment the file is an old or a new one, whole."""
    kinds = {name: (x.dtype.name, x.shape) for name, x in arrays.items() if _is_foreign(x)}
    whole: dict[str, Any] = {name: _plain(x) for name, x in arrays.items()}
    whole |= {"marks": np.asarray(json.dumps(marks)), "kinds": np.asarray(json.dumps(kinds))}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        left = list(path.parent.glob(f"{path.name}.*.part"))  # by writes that were killed
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
        if hasattr(os, "O_DIRECTORY"):  # the new name, too, must outlive a loss of power
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with contextlib.suppress(OSError):  # some file systems know of no such thing
                    os.fsync(directory)
            finally:
                os.close(directory)
    except OSError as error:
        raise OSError(
            f"`save`: cannot write {path}: {error}. What was written before is as it was."
        ) from error


def read_checkpoint(path: Path, marks: dict[str, str], work: str) -> dict[str, np.ndarray] | None:
    """Read what `write_checkpoint` wrote, if there is something; refuse what other work wrote."""
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as packed:
            if any(member.compress_type != zipfile.ZIP_STORED for member in packed.infolist()):
                raise ValueError("it is compressed, and may unpack to any size")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            found = dict(file)
        theirs, kinds = (dict(json.loads(str(found.pop(name)))) for name in ("marks", "kinds"))
        for name, (dtype, shape) in kinds.items():
            found[name] = found[name].view(jax.numpy.dtype(dtype)).reshape(shape)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(
            f"`save`: {path} is not a {work} that can be gone on with ({error}). Remove it to begin "
            "anew."
        ) from None
    changed = [what for what, digest in marks.items() if theirs.get(what) != digest]
    if changed:
        raise ValueError(
            f"`save`: {path} holds another {work}: its {' and its '.join(changed)} differ. Give a "
            f"folder of its own to each {work}, or remove the file to begin anew."
        )
    return found


def require_no_keys(what: str, like: PyTree) -> None:
    """Refuse results that `save` could not write."""
    if any(map(is_key, jax.tree.leaves(like))):
        raise TypeError(
            f"`save` writes numbers, and `{what}` gives random keys: take their key_data."
        )


def as_arrays(name: str, tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a pytree as NumPy's, random keys as their numbers."""
    return {f"{name}_{i}": _numbers(x) for i, x in enumerate(jax.tree.leaves(tree))}


def as_tree(name: str, arrays: dict[str, np.ndarray], like: PyTree) -> PyTree:
    """The pytree again that `as_arrays` was given, as NumPy's, with the keys of `like`."""
    leaves, tree = jax.tree.flatten(like)
    return tree.unflatten([_like(arrays[f"{name}_{i}"], leaf) for i, leaf in enumerate(leaves)])


def _numbers(x: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if hasattr(x, "dtype") and is_key(x) else x)


def _like(x: np.ndarray, leaf: Any) -> Any:
    if not is_key(leaf):
        return x
    return jax.random.wrap_key_data(jax.numpy.asarray(x), impl=jax.random.key_impl(leaf))


def _is_foreign(x: np.ndarray) -> bool:
    """Whether the dtype is none of NumPy's, as bfloat16 is not; npz would forget it."""
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
