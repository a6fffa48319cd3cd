"""Every python block of the README runs, from top to bottom, and prints what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_every_block_runs_and_prints_what_it_says():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 10
    program = "\n".join(blocks)
    # A process of its own: float32 and JAX's own settings, but for the time that compiling takes.
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wanted = re.findall(r"^print\(.*\)  # (.+)$", program, re.MULTILINE)
    assert len(wanted) > 2 and done.stdout.splitlines() == wanted


def test_the_picture_is_there():
    pictures = re.findall(r"!\[.*?\]\((.+?)\)", README.read_text(encoding="utf-8"))
    assert pictures and all((README.parent / picture).is_file() for picture in pictures)
