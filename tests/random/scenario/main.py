"""The command: clusters, one scenario after the other, reports, and failures made small."""
import argparse
import contextlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter

from harness.bunny import Bunny, find_program
from harness.cluster import Cluster
from harness.pair import Pair
from harness.place import scratch

from .plan import Options, make_plan
from .play import NAME, Player
from .sessions import render
from .shrink import shrink


def arguments():
    p = argparse.ArgumentParser(description="Randomised exactness test.")
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="one scenario")
    what.add_argument("--seeds", metavar="A-B", help="these, one after the other")
    what.add_argument("--minutes", type=float, help="new seeds until the time is over")
    p.add_argument("--operations", type=int, default=120, help="transactions of a scenario (120)")
    p.add_argument("--restarts", action="store_true", help="the servers are restarted, too")
    p.add_argument("--calm", action="store_true", help="no incidents: only transactions")
    p.add_argument("--without", default="", metavar="NAME,NAME", help="incidents to leave out")
    p.add_argument("--ddl", action="store_true", help="definitions change, too")
    p.add_argument("--many", action="store_true", help="hundreds of small tables")
    p.add_argument("--no-shrink", action="store_true", help="a failure is not made smaller")
    p.add_argument("--shrink-minutes", type=float, default=3, help="how long to try (3)")
    p.add_argument("--keep", action="store_true", help="the directory of a failure stays")
    p.add_argument("--verbose", action="store_true", help="every statement as it is done")
    return p.parse_args()


class World:
    """Two clusters for all scenarios; a pair of databases and a process for each."""

    def __init__(self, root, source, dest):
        self.root, self.source, self.dest = root, source, dest

    def play(self, plan, echo=None):
        """Plays it; returns (player, what was wrong or None, what the program said)."""
        extra = "ENCODING 'LATIN1' LOCALE 'C'" if plan.latin else ""
        pair = Pair(self.source, self.dest, extra=extra)
        pair.src.execute("SET client_encoding = 'UTF8'")
        bunny = Bunny(self.root, f"b{Pair.count}")
        player, wrong = Player(plan, pair, bunny, echo), None
        try:
            bunny.start()
            player.play()
            finish(bunny, pair)
        except Exception as e:  # whatever it is: the scenario failed
            wrong = e
        log = bunny.log_tail(20000) + bunny.sanitizer_reports()
        bunny.kill()
        for cluster in (self.source, self.dest):
            if cluster.process.poll() is not None:
                cluster.start()
        try:
            self._forget(pair)
        finally:
            bunny.remove()
        return player, wrong, log

    def _forget(self, pair):
        """Prepared transactions would hold the database."""
        with self.source.connect(pair.sdb) as c:
            for (gid,) in c.execute("SELECT gid FROM pg_prepared_xacts WHERE database = "
                                    "current_database()").fetchall():
                c.execute(f"ROLLBACK PREPARED '{gid}'")
        pair.drop()


@contextlib.contextmanager
def own_world():
    """With clusters of its own."""
    root = f"{scratch()}/bran-{os.getpid()}"
    os.mkdir(root, 0o755)
    source, dest = Cluster(root, "src"), Cluster(root, "dst")
    try:
        yield World(root, source.start(), dest.start())
    finally:
        source.stop("immediate")
        dest.stop("immediate")
        shutil.rmtree(root, ignore_errors=True)


def finish(bunny, pair):
    """Deletes the mirror and ends the process: nothing may be left."""
    bunny.api.delete(f"/v1/mirrors/{NAME}")
    code, _ = bunny.stop()
    assert code == 0, f"exit code {code}"
    pair.assert_clean()
    report = bunny.sanitizer_reports()
    assert not report, report[:6000]


def describe(wrong):
    text = "".join(traceback.format_exception_only(type(wrong), wrong)).strip()
    return text[:4000]


def report(world, options, seed, player, wrong, log, args):
    """Prints all that is needed to understand it; a shorter list of statements if there is one."""
    print(f"\nseed {seed} FAILED: {describe(wrong)}\n")
    if not args.no_shrink:
        small = shrink(world, make_plan(seed, options), wrong, args.shrink_minutes * 60)
        if small:
            player, wrong, log = small
            print(f"made smaller ({len(player.transcript.lines)} statements): {describe(wrong)}\n")
    path = f"/tmp/bunnydb-random-{seed}.txt"
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"-- seed {seed}: {describe(wrong)!r}\n-- mirror {player.plan.mirror}\n"
                f"{player.transcript.text()}\n\n{log}\n")
    lines = player.transcript.lines
    for line in lines[:400]:
        print(render(line)[:1500])
    if len(lines) > 400:
        print(f"… {len(lines) - 400} more")
    print(f"\n{log[-3000:]}\nall of it: {path}")
    print(f"again: tests/random/run --seed {seed} --verbose", flush=True)


def seeds(args):
    if args.seed is not None:
        yield args.seed
    elif args.seeds:
        first, _, last = args.seeds.partition("-")
        yield from range(int(first), int(last or first) + 1)
    else:
        end = time.monotonic() + args.minutes * 60
        seed = int(time.time()) % 10**8 * 100
        while time.monotonic() < end:
            seed += 1
            yield seed


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = Options(args.operations, args.restarts, not args.calm,
                      without=tuple(args.without.split(",")), ddl=args.ddl, many=args.many)
    find_program()
    with own_world() as world:
        failed, played = play_all(world, options, args)
    print(f"{played} seeds, {len(failed)} failed" + (f": {failed}" if failed else ""))
    return 1 if failed else 0


def play_all(world, options, args):
    """(Seeds that failed, how many were played.)"""
    failed, played = [], 0
    counts = Counter()
    for seed in seeds(args):
        began = time.monotonic()
        echo = (lambda line: print(line[:3000], flush=True)) if args.verbose else None
        player, wrong, log = world.play(make_plan(seed, options), echo)
        played += 1
        t = player.transcript
        print(f"seed {seed}: {'FAILED' if wrong else 'ok'}, {len(player.plan.tables)} tables, "
              f"{t.done} statements, {t.failed} refused, {player.rows} rows, "
              f"{time.monotonic() - began:.1f} s", flush=True)
        if player.live:
            counts.update(player.live.done)
        if wrong:
            failed.append(seed)
            report(world, options, seed, player, wrong, log, args)
    if counts:
        print("changes of definitions: " + ", ".join(f"{n} {w}" for w, n in counts.most_common()))
    return failed, played
