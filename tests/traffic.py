"""Count what the devices of a compiled program send each other, from the program's text."""

import re
from collections import Counter
from math import prod

KINDS = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute|collective-broadcast"
# The shape of the result stands before the name; an operation in two halves counts by its first.
OPERATION = re.compile(rf"= \(?(.*?)\)? (?:{KINDS})(?:-start)?\(")
KIND = re.compile(rf" ({KINDS})(?:-start)?\(")
SHAPE = re.compile(r"\b[a-z]+(\d+)\[([\d,]*)\]")
LOOP = re.compile(r" while\(.*body=%?([\w.-]+).*?known_trip_count\D+(\d+)")
CALL = re.compile(r"(?:to_apply|calls|body|condition|branch_computations)=\{?%?([\w.-]+)")


def traffic(compiled):
    """Count the exchanges of one run and the bytes of their results: `{kind: (count, bytes)}`.

    An exchange in a loop counts once per turn. A device receives `bytes` less its own share.
    """
    computations, entry = parts(compiled.as_text())
    turns = Counter({entry: 1})
    found = Counter()

    def walk(name, times):
        for line in computations[name]:
            kind = KIND.search(line)
            if kind:
                found[kind[1], "count"] += times
                found[kind[1], "bytes"] += times * size(OPERATION.search(line)[1])
            loop = LOOP.search(line)
            for called in CALL.findall(line):
                if called in computations:
                    walk(called, times * (int(loop[2]) if loop and called == loop[1] else 1))

    walk(entry, turns[entry])
    kinds = {kind for kind, _ in found}
    return {kind: (found[kind, "count"], found[kind, "bytes"]) for kind in sorted(kinds)}


def parts(text):
    """Return the lines of each computation by name, and the name of the entry computation."""
    computations, entry, name = {}, None, None
    for line in text.splitlines():
        head = re.match(r"(ENTRY )?%?([\w.-]+) .*\{$", line)
        if head and not line.startswith(" "):
            name = head[2]
            computations[name] = []
            entry = name if head[1] else entry
        elif name:
            computations[name].append(line)
    return computations, entry


def size(shapes):
    """Count the bytes of one or several results."""
    return sum(
        int(bits) // 8 * prod(int(n) for n in dims.split(",") if n)
        for bits, dims in SHAPE.findall(shapes)
    )
