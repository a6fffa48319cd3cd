"""The rooms of the house: who may import whom, and what importing the package does not do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import coupling_fn as cf

PACKAGE = Path(cf.__file__).parent
pytestmark = pytest.mark.every_case  # cheap, or each of its own kind

FAMILIES = ["linear", "phase", "hopf", "relaxation", "chaotic", "wilson_cowan"]
FAMILIES += ["jansen_rit", "wong_wang", "quadratic", "epileptor"]
# Ground floor first: a module imports only from lower floors.
FLOORS = [
    {"_check", "_units", "_devices"},
    {"_rows"},
    {"_sparse"},
    {"_types", "_progress", "_sparse_graph"},
    {"_dimensions"},
    {"_checkpoint"},
    {"_connectome"},
    {"_files", "_synthetic"},
    {"_aggregate"},
    {"_coupling", "_edges"},
    {"_delay", "_surface"},
    {"_nodes._node"},
    {f"_nodes._{family}" for family in FAMILIES},
    {"_nodes.nodes"},
    {"_nodes"},
    {"_integrate", "_stimulus", "_noise"},
    {"_past", "_plan", "_batch", "_pack"},
    {"_states"},
    {"_params"},
    {"_link", "_kick"},
    {"_network"},
    {"_blocks", "_field"},
    {"_linear"},
    {"_covariance"},
    {"_stability"},
    {"_engine", "_finite", "_shard"},
    {"_simulate"},
    {"_observe"},
    {"_objective"},
    {"_transform"},
    {"_sweep"},
    {"_leaves", "_batches"},
    {"_descent"},
    {"_fit"},
    {"_least_squares", "_uncertainty", "_profile", "_bootstrap", "_density", "_find"},
    {"_diagnose"},
    {"_plot"},
    {"__init__"},
    {"_presets"},
    {"__main__"},
]
FLOOR = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        yield ".".join(parts), path


def imports(name, path):
    """The modules of the package that a module imports, by their names in it."""
    here = [] if path.name == "__main__.py" else name.split(".")
    here = here if path.name == "__init__.py" and name != "__init__" else here[:-1]
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name.split(".")[0] == "coupling_fn":
                    yield ".".join(alias.name.split(".")[1:]) or "__init__"
        if not isinstance(statement, ast.ImportFrom):
            continue
        module = (statement.module or "").split(".") if statement.module else []
        if statement.level == 0:
            if module[0] == "coupling_fn":
                yield ".".join(module[1:]) or "__init__"
            continue
        base = here[: len(here) - statement.level + 1]
        if module:
            yield ".".join(base + module)
        else:  # from . import x
            for alias in statement.names:
                inner = ".".join([*base, alias.name])
                yield inner if inner in dict(modules()) else ".".join(base) or "__init__"


def floor_of(module):
    """A room that is a package has one floor, unless its own rooms have floors."""
    while module not in FLOOR and "." in module:
        module = module.rpartition(".")[0]
    return FLOOR.get(module)


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=[name for name, _ in modules()])
def test_a_module_imports_only_from_lower_floors(name, path):
    floor = floor_of(name)
    assert floor is not None, f"{name} has no floor: say in FLOORS where it belongs"
    for other in imports(name, path):
        same_room = "." in name and other.split(".")[0] == name.split(".")[0]
        inner = other.startswith(f"{name}.")
        assert floor_of(other) is not None, f"{name} imports {other}, which has no floor"
        if not (inner or same_room):
            assert floor_of(other) < floor, f"{name} imports {other}, which is not below it"


def test_the_parser_sees_imports():
    """So that the test above cannot pass by seeing nothing."""
    found = {name: set(imports(name, path)) for name, path in modules()}
    assert {"_aggregate", "_check", "_types"} <= found["_coupling"]
    assert "_check" in found["_nodes._node"]
    assert "_nodes" in found["_network"]
    assert "_nodes._node" in found["_nodes"]
    assert "_network" in found["__init__"]


def test_every_public_name_is_handed_out_once():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    names = [a for s in tree.body if isinstance(s, ast.ImportFrom) for a in s.names]
    assert all(alias.name == alias.asname for alias in names)
    assert len({alias.name for alias in names}) == len(names)
    assert not [alias.name for alias in names if alias.name.startswith("_")]


SCRIPT = """
import sys
import jax
before = dict(jax.config.values)
made = []
jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: made.append(name))
import coupling_fn
assert dict(jax.config.values) == before, "an option of JAX was set"
from jax._src import xla_bridge
assert not xla_bridge._backends, "a device was touched"  # so there is no array either
assert not [name for name in made if "compile" in name], made
print(sorted({"matplotlib", "tqdm", "scipy", "pandas", "networkx"} & set(sys.modules)))
"""
PLAIN = """
import sys, jax, jax.experimental.sparse, equinox, optax, jaxtyping
print(sorted({"matplotlib", "tqdm", "scipy", "pandas", "networkx"} & set(sys.modules)))
"""


def output_of(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_touches_nothing_and_loads_nothing_heavy():
    """Beside what JAX and equinox load themselves."""
    theirs, ours = (ast.literal_eval(output_of(script)) for script in (PLAIN, SCRIPT))
    assert set(ours) <= set(theirs)
    assert not {"matplotlib", "tqdm", "networkx"} & set(ours)
