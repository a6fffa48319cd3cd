"""Runs on several devices by `shard_map`, `pmap`, `NamedSharding` and sweeps: the numbers of one."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

PROGRAM = Path(__file__).parent / "devices.py"
CONNECTIONS = ["dense", "sparse", "BCOO", "edges", "sparse edges", "custom"]
LAGS = ["mixed", "no", "near", "far", "traced", "interpolated"]
CHECKED = ["shard_map", "outside"]
MEANS = ["unchecked", "pmap", "sharding", "sweep"]
if hasattr(jax, "shard_map"):  # before JAX 0.7, shard_map has no rule for a sparse product
    MEANS = CHECKED + MEANS


def on_four_devices(*what):
    flags = "--xla_force_host_platform_device_count=4"
    # Compile as quickly as possible: these are many programs that each run once.
    flags += " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(PROGRAM), *map(",".join, what)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_delayed_network_runs_inside_shard_map_and_over_the_devices_of_a_sweep():
    on_four_devices(["dense"], ["mixed"], [MEANS[0], "sweep"])


@pytest.mark.thorough
def test_lags_between_steps_of_sparse_edges_run_inside_shard_map_and_pmap():
    on_four_devices(["sparse"], ["interpolated"], [MEANS[0], "pmap"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("lags", LAGS)
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_all_connections_with_all_lags_run_by_all_means(connection, lags):
    on_four_devices([connection], [lags], MEANS)
