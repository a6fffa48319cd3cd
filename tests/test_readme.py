"""Every Python block of the README runs, from top to bottom, and prints what it says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.every(2)
@pytest.mark.parametrize("compiled", ["quickly", "as for a user"])
def test_every_block_runs_and_prints_what_it_says(compiled):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 10
    if not importlib.util.find_spec("tvb_data"):
        blocks = [block for block in blocks if '("tvb:' not in block]
    if not importlib.util.find_spec("evosax"):
        blocks = [block for block in blocks if "cf.evolve(" not in block]
    program = "\n".join(blocks)
    # A process of its own has float32 and JAX's own settings.
    how = {
        "quickly": {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        "as for a user": {"XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"},
    }
    command, environment = [sys.executable, "-c", program], os.environ | how[compiled]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = re.findall(r"^print\(.*\)  # (.+)$", program, re.MULTILINE)
    assert len(wanted) > 2 and done.stdout.splitlines() == wanted


def test_the_picture_is_there():
    pictures = re.findall(r"!\[.*?\]\((.+?)\)", README.read_text(encoding="utf-8"))
    assert pictures and all((README.parent / picture).is_file() for picture in pictures)
