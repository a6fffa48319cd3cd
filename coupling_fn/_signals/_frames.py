"""Records as tables of pandas, and so as files of CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .._core import PyTree, known, require_names, require_positive_number, require_real


def to_frame(
    record: PyTree,
    dt: float,
    labels: Sequence[str] | None = None,
    *,
    units: str | Mapping[str, str] | None = None,
) -> Any:
    """Return a record as a frame of pandas, one row per sample, with its times and labels.

    The index is the time of each sample, `time [ms]`: sample n is at (n + 1) · dt. A column is called
    by its quantity, where the record has several, its region, and its unit in brackets, where that is
    given: `V1`, `E V1` or `E V1 [kHz]`. So a file of CSV, `to_frame(...).to_csv("record.csv")`, has all
    of it in one line on top.

    Args:
        record: signals (time, region), or one signal (time,); or several of them by name, as `simulate`
            records states: a mapping, a named tuple, or these within each other. [any unit]
        dt: time from one sample to the next: dt of the network times `every`, or the period of BOLD.
            [ms]
        labels: one name per region, such as `connectome.labels`; None numbers the regions of each
            part: `region 0`.
        units: the unit of all quantities, or that of some by their names, such as
            `node.state_units`; those without one have no brackets.

    Returns:
        A frame in the dtype of the record.

    Raises:
        ValueError: if a part of the record is not (time, region) or (time,), parts are of different
            lengths, there is not one label per region, a label comes twice, or `units` names no
            quantity of the record.
        TypeError: if the record does not hold real numbers or is traced, or labels or units are no
            strings.
        ImportError: if pandas is missing.

    Example:
        >>> record = {"E": jnp.ones((3, 2)), "rate": jnp.zeros(3)}
        >>> frame = cf.observe.to_frame(record, 0.1, ["V1", "M1"], units={"E": "kHz"})
        >>> list(frame.columns), frame.index.name, frame.index.tolist()
        (['E V1 [kHz]', 'E M1 [kHz]', 'rate'], 'time [ms]', [0.1, 0.2, 0.3])
        >>> print(frame.to_csv(), end="")
        time [ms],E V1 [kHz],E M1 [kHz],rate
        0.1,1.0,1.0,0.0
        0.2,1.0,1.0,0.0
        0.3,1.0,1.0,0.0
    """
    if not known(record):
        raise TypeError("`record` must have known values: make a frame outside of `jax.jit`.")
    parts = _parts(record)
    require_positive_number("dt", dt, "ms")
    labels = _checked_labels(labels, parts)
    written = list(units.values()) if isinstance(units, Mapping) else [units or ""]
    if not all(isinstance(unit, str) for unit in written):
        raise TypeError(f"`units` must be a string, or strings by quantity; got {units!r}.")
    if isinstance(units, Mapping):
        require_names("quantity in `units`", units, [name for name in parts if name])
    columns: dict[str, np.ndarray] = {}
    for name, x in parts.items():
        unit = units.get(name) if isinstance(units, Mapping) else units
        end = "" if unit is None else f" [{unit}]"
        # Parts may have other regions, as the subnetworks of a hybrid network do: numbers fit any.
        numbers = [f"region {i}" for i in range(x.shape[1] if x.ndim == 2 else 0)]
        of = (labels or numbers) if x.ndim == 2 else ("",)
        for label, column in zip(of, x.reshape(len(x), -1).T, strict=True):
            columns[(" ".join(filter(None, (name, label))) or "signal") + end] = column
    try:
        import pandas
    except ImportError as error:
        raise ImportError("`to_frame` needs pandas: pip install pandas.", name="pandas") from error
    samples = len(next(iter(parts.values())))
    # Rounded to a millionth of a nanosecond, so that 3 times 0.1 ms is 0.3 ms also in a file.
    times = np.round(float(dt) * np.arange(1, samples + 1), 12)
    return pandas.DataFrame(columns, index=pandas.Index(times, name="time [ms]"))


def _parts(record: PyTree) -> dict[str, np.ndarray]:
    """Return the arrays of a record by name; a bare array has the name ""."""
    parts: dict[str, np.ndarray] = {}
    for path, x in jax.tree_util.tree_flatten_with_path(record)[0]:
        name = ".".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)
        require_real(f"record{f'.{name}' * bool(name)}", x)
        parts[name] = x = np.asarray(x)
        if x.ndim not in (1, 2) or not x.size:
            raise ValueError(
                "`record` must be (time, region) or (time,), with a sample or more; "
                f"{name or 'it'} has shape {x.shape}."
            )
    if not parts:
        raise ValueError("`record` must hold an array; it holds none.")
    if len(lengths := {name: len(x) for name, x in parts.items()}) and len({*lengths.values()}) > 1:
        raise ValueError(f"`record` must have as many samples in each part; got {lengths}.")
    return parts


def _checked_labels(
    labels: Sequence[str] | None, parts: Mapping[str, np.ndarray]
) -> list[str] | None:
    """Return one label per region, each different; None where none are given."""
    if labels is None:
        return None
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"`labels` must be a sequence of strings, one per region, not {labels!r}.")
    regions = {name: x.shape[1] for name, x in parts.items() if x.ndim == 2}
    if not regions:
        raise ValueError("`labels` are of regions, and `record` has none: it is (time,).")
    for name, count in regions.items():
        if len(labels) != count:
            part = f"record.{name}" if name else "record"
            raise ValueError(
                f"`labels` must be one per region of `{part}`, {count}, not {len(labels)}."
            )
    twice = sorted({str(label) for label in labels if list(labels).count(label) > 1})
    if twice:
        raise ValueError(f"`labels` must differ, because they name columns; {twice[0]!r} does not.")
    return [str(label) for label in labels]
