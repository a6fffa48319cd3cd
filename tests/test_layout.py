"""The rooms of the house: who may import whom, what is public, and what importing does not do."""

import ast
import graphlib
import importlib
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import jax
import pytest

import coupling_fn as cf

PACKAGE = Path(cf.__file__).parent
REPOSITORY = PACKAGE.parent

# The rooms, ground floor first, and the floors of modules within each: a room imports from lower
# rooms alone, and a module from lower modules of its room.
ROOMS = {
    "_lazy": "_names _sparse",
    "_core": (
        "_check _devices _progress _units | _types | _varying | "
        "_arguments _batching _checkpoint _named _packing | _linalg"
    ),
    "_formats": (
        "_record _text | _archives _edges _hdf5 | _graphs _matlab _tables _tvb | _read | _cortex"
    ),
    "_connectome": (
        "_padded_rows _regions | "
        "_layout | "
        "_sparse | "
        "_aggregate _connectome | "
        "_edge_list _laplacian _normalize _synthetic | "
        "_files"
    ),
    "surgery": "_chosen _weights | _lesions _new_edge",
    "graph": "_measures",
    "_coupling": "_rule | _custom _gamma _kuramoto _linear _sigmoidal _surface",
    "surface": "_cortex",
    "_node": "_angles _node | _chained _hybrid",
    "_neural_masses": (
        "_jansen_rit _wilson_cowan _wong_wang _zetterberg_jansen | "
        "_divisive _microcircuit _naskar _thalamus"
    ),
    "_mean_fields": (
        "_aln_tables _ion_exchange _izhikevich _quadratic _reduced_sets _zerlaut | "
        "_adaptation _aln _dumont_gutkin _zerlaut_second"
    ),
    "nodes": (
        "_chaotic _epileptor _hopf _hopfield _linear _phase _relaxation | "
        "_epileptor_codim3 _epileptor_resting | "
        "_catalog"
    ),
    "schemes": "_scheme | _exponential _runge_kutta | _shorthands",
    "noise": "_factor | _coloured _white | _draw | _increments",
    "stimuli": "_time | _stimulus | _pulses _signals",
    "_delays": (
        "_lags _plan _windows | _edges _history | _run_layout | _buffers | _forward | _adjoint | "
        "_blocked_run"
    ),
    "_measure": "_measurement",
    "_network": (
        "_edge_forms _params | _edge_groups _fields _wires | _link | _checks | _chains _links | "
        "_time_varying | _step | _network | "
        "_vector_field"
    ),
    "hybrid": "_node | _divide",
    "_simulate": (
        "_clock _files _finite _records _saving _shard _stepwise _timing | _blocked _measured | "
        "_simulate"
    ),
    "_plasticity": "_adapt",
    "_signals": "_series | _analytic _arrival _average _cleaning _filter _frames _spectrum",
    "_connectivity": "_coherence _correlation _phases | _envelopes _partial",
    "_states": "_avalanches _complexity _kmeans _leading _sequences | _ignition",
    "observe": (
        "_balloon_params _fc_objectives _fcd_objectives _moments _sensors _synchrony | "
        "_bold _fc_residuals _kernels _running | "
        "_objectives _running_bold"
    ),
    "_analysis": (
        "_linear | _fixed_point _response | _inhibition _integrals _stretch | "
        "_crossing _unstable_roots | _continuation _covariance _refinement | "
        "_nonlinearity _stability"
    ),
    "transforms": "_transforms | _arrays",
    "_fit": (
        "_leaves _sweep | "
        "_curvature _derivatives | "
        "_descent _log_density | "
        "_loop | "
        "_fit | "
        "_find_k _least_squares _profile_likelihood _resampling _uncertainty"
    ),
    "cohort": "_stack | _squares | _pooling _descent _result | _fit _fit_loss | _reliability",
    "_evolution": "_method | _generations | _evolve",
    "_diagnose": (
        "_dimensions _report _signals | "
        "_lengths _orientation _rule _weights | "
        "_stability | "
        "_before _units | "
        "_causes | "
        "_symptoms | "
        "_after"
    ),
    "plot": (
        "_canvas | _labels | _groups | _brain _cohort _evoked _heat_map _matrices _searches _signals"
    ),
    "_command": "_options _preset | _mean_field_presets | _presets | _job | _main",
}
FLOORS = {room: [floor.split() for floor in floors.split("|")] for room, floors in ROOMS.items()}
MODULES = [(room, path) for room in ROOMS for path in sorted((PACKAGE / room).glob("*.py"))]
NAMESPACES = [room for room in ROOMS if not room.startswith("_")]
LONGEST, MOST_MODULES, LONGEST_PAGE = 400, 13, 100


@cache
def imports(path):
    """Return what a module imports from the package: `(room or None, module or None, name)`.

    The room is None for its own, and the module is None where the way in is the room itself.
    """
    return tuple(_imports(path))


def _imports(path):
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            assert not any(a.name.startswith("coupling_fn.") for a in statement.names)
            continue
        if not isinstance(statement, ast.ImportFrom):
            continue
        parts = (statement.module or "").split(".") if statement.module else []
        if statement.level == 0:
            assert parts[0] != "coupling_fn", f"{path}: imports within the package are relative"
            continue
        for alias in statement.names:
            if statement.level == 1:
                yield None, parts[0] if parts else alias.name, alias.name
            elif parts:
                yield parts[0], parts[1] if len(parts) > 1 else None, alias.name
            else:
                yield alias.name, None, alias.name


def floor_in(room, module):
    found = [n for n, floor in enumerate(FLOORS[room]) if module in floor]
    assert found, f"{room}/{module}.py has no floor: say in ROOMS where it belongs"
    return found[0]


def handed_out(room):
    """Return the names that the `__init__` of a room hands out."""
    return [name for module, name in public_imports(PACKAGE / room) if module != ".._lazy"]


def public_imports(folder):
    """Return the module and name of all that an `__init__` imports, at once or when it is used."""
    tree = ast.parse((folder / "__init__.py").read_text())
    statements = [s for s in ast.walk(tree) if isinstance(s, ast.ImportFrom)]
    found = [("." * s.level + (s.module or ""), a) for s in statements for a in s.names]
    public = [(module, a) for module, a in found if not (a.asname or a.name).startswith("_")]
    assert all(alias.name == alias.asname for _, alias in public)
    return [(module, alias.name) for module, alias in public]


LAZY = ["", "nodes", "_mean_fields", "_neural_masses"]


@pytest.mark.parametrize("room", LAZY)
def test_what_a_static_checker_sees_is_what_loads_when_it_is_used(room):
    package = importlib.import_module(f"coupling_fn.{room}".rstrip("."))
    seen = {
        (module if module != "." else f".{name}", "" if module == "." else name)
        for module, name in public_imports(PACKAGE / room)
    }
    loaded = {
        (module, name) for module, names in package._LATER.items() for name in names.split() or [""]
    }
    assert loaded == seen and len(seen) > 20
    assert {name or module.removeprefix(".") for module, name in loaded} == {*package.__all__}
    assert sorted(package.__all__) == dir(package)
    for name in package.__all__:
        getattr(package, name)
    with pytest.raises(AttributeError, match="no attribute 'zork'"):
        package.zork  # noqa: B018


@pytest.mark.parametrize(("room", "path"), MODULES, ids=[f"{r}.{p.stem}" for r, p in MODULES])
def test_imports_go_down_and_through_the_way_in(room, path):
    rooms = list(ROOMS)
    for other, module, name in imports(path):
        if other is None:
            if path.stem != "__init__":
                below = floor_in(room, module) < floor_in(room, path.stem)
                assert below, f"{room}/{path.stem} imports {module}, which is not below it"
            continue
        assert rooms.index(other) < rooms.index(room), f"{room}/{path.stem} imports {other}"
        if other not in NAMESPACES:
            assert module is None, f"{room}/{path.stem} goes to {other}/{module}, past its way in"
        elif module is not None:  # what only the house uses of a namespace
            assert name not in handed_out(other), f"take {name} from {other} itself"


def test_the_parser_sees_imports():
    """Without this, the test above could pass by seeing nothing."""
    network = set(imports(PACKAGE / "_network" / "_network.py"))
    assert {("_core", None, "require_names"), ("_delays", None, "checked_lags")} <= network
    assert (None, "_params", "Params") in network
    assert ("noise", "_increments", "noises_of") in network


def test_every_room_has_its_floor():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", [room for room in ROOMS if room.startswith("_")])
def test_a_room_hands_out_what_others_take(room):
    taken = {
        name for other, path in MODULES for there, _, name in imports(path) if there == room
    } | {*cf.__all__}
    unused = set(handed_out(room)) - taken
    assert not unused or room == "_command", f"{room} hands out {unused}, which nobody takes"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_small_enough_to_know(room):
    modules = [path for path in (PACKAGE / room).glob("*.py") if path.stem != "__init__"]
    assert len(modules) <= MOST_MODULES
    for path in modules:
        lines = len(path.read_text().splitlines())
        reason = "Longer than 400 lines because" in path.read_text()
        assert lines <= LONGEST or reason, f"{path.name} has {lines} lines, and gives no reason"


FOLDERS = [PACKAGE, *(PACKAGE / room for room in ROOMS), REPOSITORY / "tests"]
FOLDERS += [REPOSITORY / "benchmarks"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_has_a_page(folder):
    page = folder / "README.md"
    assert page.is_file(), f"{folder.name} has no README.md"
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_PAGE
    missing = [name for name in public_names().get(folder.name, {}) if f"`{name}`" not in text]
    assert not missing, f"{folder.name}/README.md does not name {missing}"


def public_names():
    """Map each room to its public names: those on `cf.`, and those of the namespaces."""
    found = {room: {} for room in ROOMS}
    for name in cf.__all__:
        x = getattr(cf, name)
        if inspect.ismodule(x):
            continue
        found[x.__module__.split(".")[1]][name] = x
    for room in NAMESPACES:
        found[room] |= {name: getattr(getattr(cf, room), name) for name in handed_out(room)}
    return found


def test_every_public_name_has_one_address():
    names = {name for _, name in public_imports(PACKAGE)}
    addresses = [(id(x), name) for room in public_names().values() for name, x in room.items()]
    assert len({address for address, _ in addresses}) == len(addresses)
    flat = names - set(NAMESPACES)
    assert 80 <= len(flat) <= 95


def modules_named(path):
    """Yield what a file of the repository imports, by its name from the root: `benchmarks._problem`."""
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            folder = path.parents[statement.level - 1] if statement.level else REPOSITORY
            parts = [*folder.relative_to(REPOSITORY).parts, *(statement.module or "").split(".")]
            name = ".".join(filter(None, parts))
            yield name
            yield from (f"{name}.{alias.name}" for alias in statement.names)


def test_the_tests_need_no_benchmark():
    paths = (REPOSITORY / "tests").rglob("*.py")
    imported = {(path.name, name) for path in paths for name in modules_named(path)}
    assert ("test_layout.py", "subprocess") in imported  # so that it cannot pass by seeing nothing
    assert not [pair for pair in imported if pair[1].split(".")[0] == "benchmarks"]


def test_benchmarks_import_each_other_in_one_direction():
    paths = (REPOSITORY / "benchmarks").rglob("*.py")
    imported = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts): {*modules_named(path)}
        for path in paths
    }
    assert "benchmarks._sparse_problem" in imported["benchmarks._peers.tvboptim_sparse"]
    graphlib.TopologicalSorter(imported).prepare()  # raises where there is a circle


# A module's name with capitals stands for any.
CITED = re.compile(r"[`/ ]([a-z0-9_]+\.py|[\w-]+\.md)\b")


def test_no_text_names_a_file_that_is_not_there():
    rooms = ("coupling_fn", "tests", "benchmarks")
    paths = [path for room in rooms for path in (REPOSITORY / room).rglob("*.[mp][dy]")]
    paths.append(REPOSITORY / "README.md")
    there = {path.name for path in [*paths, *(REPOSITORY / ".github").rglob("*.[mp][dy]")]}
    assert "test_layout.py" in CITED.findall((REPOSITORY / "tests" / "README.md").read_text())
    cited = {(path.name, name) for path in paths for name in CITED.findall(path.read_text())}
    assert not [pair for pair in cited if pair[1] not in there]


SCRIPT = """
import sys
import jax
before = dict(jax.config.values)
made = []
jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: made.append(name))
import coupling_fn
assert len([name for name in sys.modules if name.startswith("coupling_fn.")]) < 5
from coupling_fn import *  # loads them all
from coupling_fn.nodes import *
assert len([name for name in sys.modules if name.startswith("coupling_fn.")]) > 200
assert dict(jax.config.values) == before, "an option of JAX was set"
from jax._src import xla_bridge
assert not xla_bridge._backends, "a device was touched"  # so there is no array either
assert not [name for name in made if "compile" in name], made
print(sorted({"matplotlib", "tqdm", "scipy", "pandas", "networkx"} & set(sys.modules)))
"""
PLAIN = """
import sys, jax, equinox, optax, jaxtyping
print(sorted({"matplotlib", "tqdm", "scipy", "pandas", "networkx"} & set(sys.modules)))
"""


def output_of(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_touches_nothing_and_loads_nothing_heavy():
    """What JAX and equinox load themselves does not count."""
    theirs, ours = (ast.literal_eval(output_of(script)) for script in (PLAIN, SCRIPT))
    assert set(ours) <= set(theirs)
    assert not {"matplotlib", "tqdm", "networkx"} & set(ours)


def test_a_module_that_is_first_used_while_jax_traces_holds_no_tracer(tmp_path, monkeypatch):
    package = tmp_path / "later_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from coupling_fn._lazy import load_later\n"
        "__getattr__, __dir__, __all__ = load_later(__name__, {'._constants': 'three'})\n"
    )
    (package / "_constants.py").write_text(
        "import jax.numpy as jnp\nthree = jnp.zeros(3, 'float32') + 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    later = importlib.import_module("later_package")
    assert "three" not in vars(later)
    assert jax.jit(lambda x: (x * later.three).sum())(2.0) == 18.0
    assert not isinstance(later.three, jax.core.Tracer) and later.three.tolist() == [3.0] * 3
    del sys.modules["later_package"], sys.modules["later_package._constants"]


HELP = """
import sys
try:
    import coupling_fn.__main__ as command
    command.main(["--help"])
except SystemExit:
    assert not {"jax", "numpy", "equinox"} & set(sys.modules)
"""


def test_help_is_printed_without_jax():
    told = output_of(HELP)
    assert "--target-fc" in told and "hopf" in told
