"""Promise: whatever fault strikes in whatever phase of a mirror's life, afterwards both databases are
equal, no row is lost and none is there twice, and nothing is left behind. The time from the fault's
end to a mirror that has caught up is printed.

FAULT_RUNS=N repeats each scenario with other random moments; FAULT_SEED names the first seed;
FAULT_ONLY and FAULT_PHASES name those that count, all if empty; FAULT_RESULTS names a file to which a line goes for each run (tests/faults/run makes a table of it)."""
import json
import os

import pytest

from faults.phases import PHASES
from faults.table import FAULTS
from faults.world import World
from harness.bunny import Bunny

RUNS = int(os.environ.get("FAULT_RUNS", "1"))
SEED = int(os.environ.get("FAULT_SEED", "1"))

# The quick subset: each kind of fault once, the phases spread over them.
QUICK = {("hang-dest", "stream"), ("hang-old-source", "stream"), ("cut-both", "snapshot"),
         ("kill-us", "resync"), ("kill-dest-backend", "big"), ("restart-both", "stream"),
         ("slot-dropped", "stream"), ("dest-disk-full", "stream"), ("password-changed", "stream"),
         ("no-descriptors", "stream"), ("slow-name", "stream"), ("clock-to-and-fro", "stream"),
         ("catalog-overwritten", "stream"), ("trickle-dest", "sync"), ("end-sessions-dest", "verify")}


ONLY = os.environ.get("FAULT_ONLY", "").split()
PHASES_ONLY = os.environ.get("FAULT_PHASES", "").split()


def scenarios():
    for f in FAULTS.values():
        for phase in f.phases:
            if (ONLY and f.name not in ONLY) or (PHASES_ONLY and phase not in PHASES_ONLY):
                continue
            marks = [pytest.mark.quick] if (f.name, phase) in QUICK else [pytest.mark.long]
            for run in range(RUNS):
                yield pytest.param(f.name, phase, SEED + run, marks=marks,
                                   id=f"{f.name}-in-{phase}-{SEED + run}")


def record(**line):
    path = os.environ.get("FAULT_RESULTS")
    if path:
        with open(path, "a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")


def make_world(root, source, dest, fault, seed, request):
    bunny = None
    if fault.needs == "state_disk":
        disk = request.getfixturevalue("state_disk")
        bunny = Bunny(root, f"s{seed}", state_dir=os.path.join(disk.path, "state"))
    if fault.needs == "wal_disk":
        cluster = request.getfixturevalue("wal_disk").cluster
        source, dest = (cluster, dest) if fault.side == "source" else (source, cluster)
    w = World(root, source, dest, seed, bunny)
    if fault.needs:
        setattr(w, fault.needs, request.getfixturevalue(fault.needs))
    return w


@pytest.mark.limit(300)
@pytest.mark.parametrize("name, phase, seed", scenarios())
def test_fault(root, source, dest, request, name, phase, seed):
    fault = FAULTS[name]
    w = make_world(root, source, dest, fault, f"{name}-{phase}-{seed}", request)
    line = {"fault": name, "phase": phase, "seed": seed}
    try:
        fault.prepare(w)
        PHASES[phase](w)
        fault.strike(w)
        fault.heal(w)
        recovery = w.recover(fault.may_operate, fault.limit)
        w.quiesce()
        lost, surplus, rows = w.compare()
        line.update(lost=lost, duplicate=surplus, rows=rows, recovery=recovery)
        print(f"{name} in {phase}: {rows} rows, {lost} lost, {surplus} too many, "
              f"recovered in {recovery:.1f} s")
        assert (lost, surplus) == (0, 0)
        assert rows > 6000
        w.finish()
        line["ok"] = True
    finally:
        record(**line)
        if not line.get("ok"):
            print(w.bunny.log_tail(8000))
        fault.tidy(w)
        w.close()
