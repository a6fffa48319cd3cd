"""The state of the machine around a table, and whether the table may be published.

The load average counts this benchmark's own processes, too, and remembers them for minutes. So it is
judged before the first table alone. After that, what others do is measured directly: the processor time
of the whole machine, from /proc/stat, less that of this process and of those it has waited for.
"""

import os
import resource
import time
from pathlib import Path

import numpy as np

# The limits above which a table is not to be published.
LOAD = (
    0.5  # load average before the first table, and cores that others use in the second before any
)
OTHERS = 0.2  # cores that others use while a table is measured
SPREAD = 0.2  # of the times of one implementation: quartiles over median
SLOWED = (
    0.2  # how much longer the reference loop takes after a table than before, or before than after
)
FEWEST = 5  # times that make a spread: of two, the first has the compilation in it
TURNS, PAUSE = 300_000, 1.0
LOOP = f"x = x * 0.999 + 0.5, {TURNS} times in plain Python, the best of 5"


def reference_loop():
    """Time a fixed scalar loop [ms]: where it is slow, the machine is."""
    times = []
    for _ in range(5):
        begin, x = time.perf_counter(), 0.0
        for _ in range(TURNS):
            x = x * 0.999 + 0.5
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3


def processor_time():
    """Return the seconds that others have computed since the machine began, or None if unknown."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _, _, irq, soft, steal = map(int, path.read_text().split()[1:9])
    everyone = (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return everyone - sum(one.ru_utime + one.ru_stime for one in used)


class Others:
    """The cores that others use, from when this is made."""

    def __init__(self):
        self.begun, self.time = time.perf_counter(), processor_time()

    def cores(self):
        now = processor_time()
        if now is None or self.time is None:
            return None
        return max(0.0, (now - self.time) / (time.perf_counter() - self.begun))


def look():
    """Return the load average, the cores that others use in a second of rest, and the loop's time."""
    load = os.getloadavg()[0]
    others = Others()
    time.sleep(PAUSE)
    return {"load": load, "others": others.cores(), "loop_ms": reference_loop()}


def spread_of(times):
    low, median, high = np.percentile(times, [25, 50, 75])
    return float((high - low) / median)


def largest_spread(rows):
    """Return the largest spread of the rows that have one, or times enough for one; else None."""
    spreads = [r["spread"] for r in rows if "spread" in r]
    times = [
        r["times_s"] for r in rows if "spread" not in r and len(r.get("times_s", [])) >= FEWEST
    ]
    return max([*spreads, *map(spread_of, times)], default=None)


class Watch:
    """Measures tables with the machine's state around each; knows which one is the first."""

    def __init__(self, attempts=3):
        self.attempts, self.first = attempts, True

    def table(self, measure, attempts=None):
        """Call `measure()`, which returns tables, until they may be published or attempts run out.

        Returns those of the attempt with the fewest objections and then the smallest spread, and
        the state of the machine, which has all attempts in brief.
        """
        tries = []
        for _ in range(attempts or self.attempts):
            before, others = look(), Others()
            tables = measure()
            during = others.cores()
            state = {"before": before, "others_during": during, "after": look()}
            state["spread"] = largest_spread([r for t in tables for r in t.get("rows", [])])
            state["not_publishable"] = self.objections(state)
            self.first = False
            tries.append((tables, state))
            if not state["not_publishable"]:
                break
        tables, state = min(
            tries, key=lambda one: (len(one[1]["not_publishable"]), one[1]["spread"] or 0.0)
        )
        state = state | {"attempts": [one for _, one in tries]}
        for table in tables:
            table["machine"] = state
        return tables, state

    def objections(self, state):
        """Say in words why a table is not to be published; an empty list if it may be."""
        before, after = state["before"], state["after"]
        told = []
        if self.first and before["load"] > LOAD:
            told.append(f"the load average before it was {before['load']:.2f}, above {LOAD}")
        if (before["others"] or 0) > LOAD:
            told.append(f"others used {before['others']:.2f} cores before it, above {LOAD}")
        if (state["others_during"] or 0) > OTHERS:
            told.append(f"others used {state['others_during']:.2f} cores meanwhile, above {OTHERS}")
        if (state["spread"] or 0) > SPREAD:
            told.append(f"a spread was {state['spread']:.0%}, above {SPREAD:.0%}")
        slow, fast = (f(before["loop_ms"], after["loop_ms"]) for f in (max, min))
        if slow > (1 + SLOWED) * fast:
            told.append(f"the reference loop took from {fast:.1f} to {slow:.1f} ms")
        return told


def describe(state):
    """Say what the machine did, and whether the table may be published."""

    def shown(cores):
        return "unknown" if cores is None else f"{cores:.2f}"

    before, after = state["before"], state["after"]
    spread = "no spread" if state["spread"] is None else f"largest spread {state['spread']:.0%}"
    lines = [
        f"Load {before['load']:.2f} before, {after['load']:.2f} after (with our own processes); cores "
        f"used by others {shown(before['others'])} before, {shown(state['others_during'])} meanwhile, "
        f"{shown(after['others'])} after; reference loop {before['loop_ms']:.1f} ms before, "
        f"{after['loop_ms']:.1f} after; {spread}."
    ]
    tried = len(state["attempts"])
    if state["not_publishable"]:
        how_often = "measured once" if tried == 1 else f"given up after {tried} attempts"
        lines.append(f"Not publishable, {how_often}: {'; '.join(state['not_publishable'])}.")
    else:
        lines.append(f"Publishable{'' if tried == 1 else f', at attempt {tried}'}.")
    return "\n".join([*lines, ""])
