"""Nodes on several devices: the numbers of one, and what the devices send each other."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from helpers import refuses

import coupling_fn as cf

SPREAD = Path(__file__).parent / "spread.py"
CASES = ["dense", "sparse", "dense, one lag", "dense, some stepwise", "sparse, some stepwise"]
CASES += ["dense, no delay", "sparse, no delay"]


def start(case, devices, *process):
    # Compile as quickly as possible: these are many programs that each run once.
    flags = f"--xla_force_host_platform_device_count={devices}"
    flags += " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    # Processes must send in one order, but XLA runs independent operations concurrently on a CPU.
    flags += " --xla_cpu_enable_concurrency_optimized_scheduler=false"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    environment["JAX_CPU_ENABLE_ASYNC_DISPATCH"] = "0"
    command = [sys.executable, str(SPREAD), case, *map(str, process)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def finish(*children):
    outputs = [child.communicate()[0] for child in children]
    assert not any(child.returncode for child in children), "\n".join(outputs)


@pytest.mark.every(7)
@pytest.mark.parametrize("case", CASES)
def test_four_devices_give_the_numbers_of_one(case):
    finish(start(case, 4))


def test_what_is_measured_on_four_devices_is_that_of_one():
    finish(start("measured", 4))


def test_gamma_distributed_delays_on_four_devices_are_those_of_one():
    finish(start("gamma", 4))


@pytest.mark.thorough
@pytest.mark.skipif(
    jax.__version_info__ < (0, 7), reason="JAX 0.6 mixes up its messages by Gloo, one run in six"
)
@pytest.mark.parametrize("case", ["dense", "sparse"])
def test_two_processes_give_the_numbers_of_one(case):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    finish(*[start(case, 2, number, port) for number in range(2)])


def test_what_cannot_be_spread_is_refused():
    net = cf.Network(cf.nodes.linear, 0.1)
    params = cf.Params(cf.nodes.LinearParams(), cf.AdditiveCoupling(jnp.eye(3)))
    state = net.init(cf.nodes.LinearState(jnp.ones(3)), params)
    with refuses("2 devices do not divide 3 nodes"):
        cf.shard(net, state, params, 2 * jax.devices()[:1])
    with refuses("`devices` is empty"):
        cf.shard(net, state, params, [])
    with refuses("outside of `jit`", TypeError):
        jax.jit(lambda s: cf.shard(net, s, params, jax.devices())[1].node.x)(state)
