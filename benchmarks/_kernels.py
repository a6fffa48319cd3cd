"""How many operations a step of a compiled program launches, counted in its text.

On a GPU each is a kernel, or a few microseconds of a launch; operations within a fusion are one. An
operation in a loop counts once per turn.
"""

import re
import sys
from collections import Counter

from ._harness import TESTS

sys.path.append(str(TESTS))
from traffic import LOOP, parts

OPERATION = re.compile(r" = .*? ([a-z][\w-]*)\(")
# What only names, groups or moves on other operations.
FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "opt-barrier",
}
FREE |= {"while", "call", "conditional", "partition-id", "replica-id", "iota"}
INSIDE = re.compile(
    r"(?:body|to_apply|branch_computations|(?:true|false)_computation)=\{?([^}\s]+)"
)


def kernels(compiled, steps):
    """Return the operations per step by kind, and whether all loops say how often they turn."""
    computations, entry = parts(compiled.as_text())
    found, known = Counter(), True

    def walk(name, times):
        nonlocal known
        for line in computations[name]:
            operation = OPERATION.search(line)
            if not operation:
                continue
            kind = operation[1]
            if kind not in FREE:
                found[kind] += times
            if kind in ("while", "call", "conditional"):
                loop = LOOP.search(line)
                known = known and (kind != "while" or loop is not None)
                turns = int(loop[2]) if loop else 1
                for inside in INSIDE.findall(line):
                    for called in re.split(r",\s*", inside):
                        if called.strip("%,") in computations:
                            walk(called.strip("%,"), times * turns)

    walk(entry, 1)
    return {kind: count / steps for kind, count in found.most_common()}, known
