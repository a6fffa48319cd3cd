"""The README is short, its blocks run and print what they say, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


@pytest.mark.every(2)
@pytest.mark.parametrize("compiled", ["quickly", "as for a user"])
def test_every_block_runs_and_prints_what_it_says(compiled):
    program = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
    wanted = re.findall(r"^print\(.*\)  # (.+)$", program, re.MULTILINE)
    assert wanted
    # A process of its own has float32 and JAX's own settings.
    how = {
        "quickly": {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        "as for a user": {"XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"},
    }
    command, environment = [sys.executable, "-c", program], os.environ | how[compiled]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == wanted


def test_it_can_be_read_in_one_go():
    assert len(TEXT.splitlines()) <= 200


def test_what_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT)
    assert len(links) > 20
    missing = [link for link in links if not (README.parent / link).exists()]
    assert not missing, missing
