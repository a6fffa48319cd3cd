"""States and parameters in files, to go on from in another process.

A file holds the arrays of a pytree by their place in it, and what they are part of: the format, the
versions, the model, and the class of every part. It is read into a pytree of the same kind, because a
class or a function cannot be read from a file safely.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from .._core import PyTree, as_arguments, is_key, known, read_arrays, write_arrays
from .._measure import Measured
from .._network import Network, State, require_state

FORMAT = 1
PLAIN = (bool, int, str)  # Leaves that JSON can hold; floats have become arrays.
Path_ = str | os.PathLike[str]
Standing = TypeVar("Standing", State, Measured)


def save_state(path: Path_, net: Network, state: State | Measured) -> None:
    """Write where a run stands to a file, from which `load_state` reads it in any process.

    Random keys of either kind, histories, the states of coloured noise and the clock are part of it,
    each with its dtype. The file is whole at every moment: either the old one or the new one.

    Args:
        path: the file; an existing one is replaced, and its folder is made if it does not exist.
        net: the network that the state is of.
        state: the state, from `Network.init` or a run; or, of `simulate(measure=...)`, the `Measured`,
            with which the measurements go on, too.

    Raises:
        TypeError: if `state` is no state of a network.
        ValueError: if it is traced: files are written outside of `jit`, `vmap` and `grad`.
        OSError: if the file cannot be written; an old one is then unchanged.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1, lags=4)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> start = net.init(cf.nodes.LinearState(jnp.ones(2)), params, key=jax.random.key(0))
        >>> state, _ = cf.simulate(net, start, params, steps=10)
        >>> cf.save_state("state.npz", net, state)
        >>> int(cf.load_state("state.npz", net, like=start).step)
        10
    """
    _write(path, "state", _model(net, state), state)


def load_state(path: Path_, net: Network, *, like: Standing) -> Standing:
    """Read a state that `save_state` wrote; a run goes on from it with the same numbers to the bit.

    Args:
        path: the file.
        net: the network that goes on from the state.
        like: a state of that network, such as the one from `net.init`: its structure and its dtypes are
            what the file must have. Its numbers are not read. Of a run that is measured it is what
            `simulate(net, start, params, 0, measure=measure)` returns first.

    Returns:
        The state.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or of another format, or holds parameters; or if the state is
            of another node or dt, has other names, shapes or dtypes than `like`, or was measured with
            other periods.
        TypeError: if `like` is no state of a network.

    Example:
        >>> net = cf.Network(cf.nodes.linear, dt=0.1)
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> start = net.init(cf.nodes.LinearState(jnp.ones(2)), params)
        >>> cf.save_state("state.npz", net, start)
        >>> other = cf.Network(cf.nodes.linear, dt=0.2)
        >>> cf.load_state("state.npz", other, like=start)
        Traceback (most recent call last):
        ...
        ValueError: ...
    """
    return _read(path, "state", _model(net, like), like)


def save_params(path: Path_, params: PyTree) -> None:
    """Write parameters to a file, from which `load_params` reads them in any process.

    Functions, such as a stimulus of your own or the rule of a `CustomCoupling`, are not written, only
    their names.

    Args:
        path: the file; an existing one is replaced, and its folder is made if it does not exist.
        params: the parameters of a network, or any pytree of numbers, such as the result of a fit.

    Raises:
        ValueError: if they are traced: files are written outside of `jit`, `vmap` and `grad`.
        OSError: if the file cannot be written; an old one is then unchanged.

    Example:
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2), k=0.3))
        >>> cf.save_params("params.npz", params)
        >>> start = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> round(float(cf.load_params("params.npz", like=start).coupling.k), 3)
        0.3
    """
    _write(path, "params", {}, params)


def load_params(path: Path_, *, like: PyTree) -> PyTree:
    """Read parameters that `save_params` wrote.

    Args:
        path: the file.
        like: parameters of the same model: their structure and their dtypes are what the file must
            have, and functions are taken from here. Their numbers are not read.

    Returns:
        The parameters.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or of another format, or holds a state; or if the parameters
            are of another node or coupling, or have other names, shapes or dtypes than `like`.

    Example:
        >>> params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> cf.save_params("params.npz", params)
        >>> other = cf.Params(cf.nodes.HopfParams(), cf.AdditiveCoupling(jnp.eye(2)))
        >>> cf.load_params("params.npz", like=other)
        Traceback (most recent call last):
        ...
        ValueError: ...
    """
    return _read(path, "params", {}, like)


def _model(net: Any, state: Any) -> dict[str, Any]:
    """Return what a state presupposes of its network, beside what its own structure shows."""
    measured = isinstance(state, Measured)
    require_state(state.state if measured else state)
    if not isinstance(net, Network):
        raise TypeError(f"`net` must be the cf.Network of the state, not {type(net).__name__}.")
    model = {"node": _name(net.node), "dt [ms]": net.dt}
    return model | ({"periods [ms]": str(state.periods)} if measured else {})


def _write(path: Path_, what: str, model: dict[str, Any], tree: PyTree) -> None:
    if not known(tree):
        raise ValueError(
            f"`{what}` is traced: write it outside of `jit`, `vmap` and `grad`, where it has values."
        )
    leaves = dict(_leaves(as_arguments(tree)))
    arrays = {name: _numbers(x) for name, x in leaves.items() if _is_array(x)}
    marks = {
        "format": FORMAT,
        "holds": what,
        "versions": {name: sys.modules[name].__version__ for name in ("coupling_fn", "jax")},
        "model": model,
        "parts": dict(_parts("", tree)),
        "leaves": {name: _described(x) for name, x in leaves.items()},
        "arrays": list(arrays),
        "plain": {name: x for name, x in leaves.items() if isinstance(x, PLAIN)},
    }
    numbered = {f"{i}": arrays[name] for i, name in enumerate(arrays)}
    write_arrays("path", Path(path), numbered, marks)


def _read(path: Path_, what: str, model: dict[str, Any], like: PyTree) -> Any:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"`path`: there is no file {path}.")
    try:
        numbered, marks = read_arrays(path)
        version, holds, versions = marks["format"], marks["holds"], marks["versions"]
    except Exception as error:  # A damaged file can raise nearly anything.
        raise ValueError(
            f"`path`: {path} is damaged, or cf.save_{what} did not write it ({error})."
        ) from None
    if version != FORMAT:
        raise ValueError(
            f"`path`: {path} is in format {version}, of coupling_fn {versions.get('coupling_fn')}; this "
            f"version reads format {FORMAT}. Read it with that version."
        )
    if holds != what:
        raise ValueError(f"`path`: {path} holds {holds}, not {what}: read it with cf.load_{holds}.")
    like = as_arguments(like)
    leaves = dict(_leaves(like))
    wanted = {"model": model, "parts": dict(_parts("", like))}
    wanted["leaves"] = {name: _described(x) for name, x in leaves.items()}
    differences = [
        line
        for group, words in (("model", "the network"), ("parts", "`like`"), ("leaves", "`like`"))
        for line in _differences(marks[group], wanted[group], words)
    ]
    if differences:
        more = f" There are {len(differences) - 5} more." if len(differences) > 5 else ""
        raise ValueError(
            f"`path`: {path} holds the {what} of another model: {'; '.join(differences[:5])}.{more}"
        )
    found = {name: numbered[f"{i}"] for i, name in enumerate(marks["arrays"])} | marks["plain"]
    values = [_restored(found.get(name), x) for name, x in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(like), values)


def _differences(theirs: dict[str, Any], ours: dict[str, Any], words: str) -> Iterator[str]:
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        there, here = theirs.get(name, "nothing"), ours.get(name, "nothing")
        if there != here:
            yield f"{name or 'the whole'} is {there} in the file, and {here} in {words}"


def _leaves(tree: PyTree) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a pytree, each with its place."""
    for path, leaf in jax.tree.leaves_with_path(tree):
        yield jax.tree_util.keystr(path), leaf


def _parts(place: str, tree: PyTree) -> Iterator[tuple[str, str]]:
    """Yield the class of every container in a pytree, and the static words and functions in it."""
    children, _ = jax.tree.flatten_with_path(tree, is_leaf=lambda x: x is not tree)
    if tree is None or any(child is tree for _, child in children):  # A leaf is its own child.
        return
    yield place, type(tree).__name__
    for field in dataclasses.fields(tree) if dataclasses.is_dataclass(tree) else ():
        value = getattr(tree, field.name, None)
        if field.metadata.get("static") and (
            callable(value) or isinstance(value, str | int | float)
        ):
            yield f"{place}.{field.name}", _name(value)
    for path, child in children:
        yield from _parts(place + jax.tree_util.keystr(path), child)


def _name(x: Any) -> str:
    """Return a name that is the same in every process."""
    if isinstance(x, Callable):
        return getattr(x, "__name__", type(x).__name__)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(x))


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def _described(x: Any) -> str:
    """Return the dtype and shape of an array, the type of a word, or the name of a function."""
    if isinstance(x, PLAIN):
        return type(x).__name__
    if not _is_array(x):
        return _name(x)
    return f"{x.dtype}{list(x.shape)}"


def _numbers(x: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if is_key(x) else x)


def _restored(x: Any, like: Any) -> Any:
    """Return a leaf from what the file has in its place, in the form of `like`."""
    if not _is_array(like):
        return x if isinstance(like, PLAIN) else like
    if is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(x), impl=jax.random.key_impl(like))
    if getattr(like, "weak_type", False):  # so that a k made from 0.5 does not promote the network
        return like.at[...].set(x)
    return jnp.asarray(x)
