"""A scenario from a seed: tables, first rows, a mirror's options, transactions of several sessions
woven into each other, incidents between them. The same seed gives the same plan."""
import random
from dataclasses import dataclass, field, replace

from . import kinds
from .changes import Changes
from .live import live_step
from .model import Step
from .names import literal
from .tables import Tables

# name: how often, in parts of all incidents
INCIDENTS = {"kill": 5, "down": 2, "pause": 3, "resync_table": 5, "resync": 1, "retry": 1,
             "swap_table": 4, "swap": 2, "recreate": 1, "cut_source": 3, "cut_dest": 3, "lock_dest": 2, "restart_dest": 1,
             "restart_source": 1}


@dataclass
class Options:
    """What a run asks for beside its seed."""
    operations: int = 120  # transactions, about
    restarts: bool = False  # of the servers, too
    incidents: bool = True
    huge: bool = True
    without: tuple = ()  # incidents that are left out
    ddl: bool = False  # definitions change, too
    many: bool = False  # hundreds of small tables


@dataclass
class Plan:
    seed: int
    latin: bool
    storm: bool  # the sessions run at the same time, each in a thread
    tables: list
    setup: list
    first: list  # steps before the mirror is made
    steps: list
    schemas: list
    mirror: dict = field(default_factory=dict)  # options of the mirror
    kinds: list = field(default_factory=list)  # all that its columns may have
    is_live: bool = False  # statements are made when it is their turn
    big_values: bool = True

    @property
    def enums(self):
        return {x.sql for x in self.kinds if x.family == "enum"}

    @property
    def domains(self):
        return {x.sql for x in self.kinds if x.family == "domain"}

    def reduced(self, groups=None, without=frozenset()):
        """The same with only some groups of steps and without some tables."""
        def stays(tables):
            return not tables & without

        def is_kept(step):
            return stays(step.tables) and (groups is None or step.group in groups or step.group < 0)
        return replace(self, tables=[t for t in self.tables if stays(t.needs)],
                       setup=[s for s in self.setup if stays(s[0])],
                       first=[s for s in self.first if is_kept(s)],
                       steps=[s for s in self.steps if is_kept(s)])

    @property
    def groups(self):
        return sorted({s.group for s in self.first + self.steps} - {-1})


class LiveChanges:
    """Changes of rows and of definitions that are made when it is their turn."""

    def __init__(self, rng):
        self.rng = rng
        self.rate = rng.choice([0.02, 0.08, 0.2])

    def some(self, t):
        return [live_step(self.rng, t, "ddl" if self.rng.random() < self.rate else "change")]


class Planner:
    def __init__(self, seed, options):
        name = " ".join(["bunnydb"] + ["ddl"] * options.ddl + ["many"] * options.many)
        self.rng = random.Random(f"{name} {seed}")
        self.options = options
        self.seed = seed
        self.latin = self.rng.random() < 0.05
        self.world = Tables(self.rng, self.latin, self.rng.randint(150, 300) if options.many else 0)
        self.tables = list(self.world.tables)
        if options.ddl:
            self.world.tables.append(self.world.tick())
        self.rows = Changes(self.rng, self.tables, not options.many)
        self.changes = LiveChanges(self.rng) if options.ddl else self.rows
        # the operator looks after each change of definitions, or only when the mirror has stopped
        self.is_tended = options.ddl and self.rng.random() < 0.5
        self.group = 0
        self.prepared = 0

    def plan(self):
        first = self._first()
        sessions = 1 if self.is_tended else self.rng.choice([1, 2, 2, 3, 4])
        storm = sessions > 1 and self.rng.random() < 0.3
        lists = [[] for _ in range(sessions)]
        for _ in range(self.options.operations):
            n = self.rng.randrange(sessions)
            lists[n].append(self._transaction(n))
        if self.options.huge and self.rng.random() < 0.04:
            body = self._whole(self.rows.huge(self.tables[-1]), "COMMIT")
            lists[0].append(self._numbered(0, body))
        steps = self._weave(lists)
        if self.is_tended:
            steps = self._tended(steps)
        self._add_incidents(steps)
        types = self.world.types
        return Plan(self.seed, self.latin, storm, self.world.tables, self.world.setup, first, steps,
                    self.world.schemas, self._mirror(),
                    types.scalars + kinds.wider() + types.all + types.own, self.options.ddl,
                    not self.options.many)

    def _mirror(self):
        options = {"cdc_batch_size": self.rng.choice([1, 2, 7, 100, 10000, 10000, 10000]),
                   "snapshot_num_rows_per_partition": self.rng.choice([1000, 20000, 500000]),
                   "snapshot_max_parallel_workers": self.rng.randint(1, 4),
                   "snapshot_num_tables_in_parallel": self.rng.randint(1, 4)}
        if self.rng.random() < 0.2:
            options["cdc_sync_interval_seconds"] = 1
        if self.rng.random() < 0.2:
            options["replicate_indexes"] = False
        if self.rng.random() < 0.2:
            options["replicate_foreign_keys"] = False
        if self.options.ddl:
            options["schema_changes"] = self.rng.choice(["manual", "auto"])
        return options

    # --- transactions --------------------------------------------------------------------------
    def _numbered(self, session, steps):
        self.group += 1
        return [replace(s, session=session, group=self.group) for s in steps]

    def _first(self):
        steps = []
        for t in self.tables:
            for _ in range(self.rng.choice([0, 1, 4, 12]) if not t.is_big else 1):
                steps += self._numbered(0, self.rows.many(t) if t.is_big else
                                        self.rows.insert_rows(t) if t.columns else
                                        self.rows.insert_default_many(t))
        return steps

    def _table(self):
        t = self.rng.choice(self.tables)
        return self.rng.choice(self.tables) if t.is_big else t

    def _whole(self, body, end):
        control = frozenset()
        return [Step(0, "BEGIN", tables=control)] + body + [Step(0, end, tables=control)]

    def _transaction(self, session):
        kind = self.rng.random()
        if kind < 0.05:
            return self._numbered(session, [self._maintenance()])
        if kind < 0.35:  # by itself; the steps of one change still belong together
            body = self.changes.some(self._table())
            return self._numbered(session, body if len(body) == 1 else self._whole(body, "COMMIT"))
        body = []
        for _ in range(self.rng.choice([1, 2, 3, 5, 8])):
            body += self._part()
        if kind < 0.45:
            return self._numbered(session, self._whole(body, "ROLLBACK"))
        if kind < 0.53:
            return self._two_phases(session, body)
        begin = self.rng.choice(["COMMIT"] * 6 + ["COMMIT AND CHAIN"])
        steps = self._whole(body, begin)
        if begin != "COMMIT":
            steps += self.changes.some(self._table()) + [Step(0, "COMMIT")]
        return self._numbered(session, steps)

    def _part(self):
        """A change, at times under a savepoint that is kept or undone, nested or not."""
        steps = self.changes.some(self._table())
        if self.rng.random() > 0.25:
            return steps
        inner = self._part() if self.rng.random() < 0.3 else []
        end = self.rng.choice(["ROLLBACK TO s", "RELEASE s", "ROLLBACK TO s; RELEASE s"])
        return [Step(0, "SAVEPOINT s")] + steps + inner + [Step(0, end)] + (
            self.changes.some(self._table()) if self.rng.random() < 0.3 else [])

    def _two_phases(self, session, body):
        self.prepared += 1
        name = literal(f"tx {self.prepared} é")
        end = self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])
        steps = self._whole(body, f"PREPARE TRANSACTION {name}")
        for _ in range(self.rng.choice([0, 2])):
            steps += self.changes.some(self._table())
        return self._numbered(session, steps + [Step(0, f"{end} PREPARED {name}")])

    def _maintenance(self):
        """What changes no row."""
        t = self._table()
        if self.options.ddl:
            return live_step(self.rng, t, "ddl")
        names = [t.q] + t.leaves
        name = self.rng.choice(names)
        choices = [f"VACUUM {name}", f"ANALYZE {name}", f"VACUUM (FREEZE, ANALYZE) {name}",
                   f"VACUUM FULL {name}", f"COMMENT ON TABLE {name} IS 'changed'",
                   f"REINDEX TABLE {name}", "CHECKPOINT"]
        if t.columns:
            c = self.rng.choice(t.columns).q
            index = self.world.names.fresh("late").replace('"', '""')
            choices += [f"ALTER TABLE {name} ALTER {c} SET STATISTICS 7",
                        f'CREATE INDEX "{index}" ON {name} (({c} IS NULL))']
        sql = self.rng.choice(choices)
        if not t.is_partitioned and t.is_mirrored and self.rng.random() < 0.4:
            sql = self._identity(t)
        return Step(0, sql, tables=frozenset(t.needs))

    def _identity(self, t):
        choices = ["FULL"]
        if t.has_conflict_target and t.columns and "PRIMARY KEY" in " ".join(t.create):
            choices.append("DEFAULT")
        choices += [f"USING INDEX {i}" for i in t.indexes if not t.mapping.get("exclude_columns")]
        return f"ALTER TABLE {t.q} REPLICA IDENTITY {self.rng.choice(choices)}"

    # --- order ---------------------------------------------------------------------------------
    def _weave(self, lists):
        """One list of all sessions' steps; a session goes on for a while, or for one step."""
        queues = [[s for steps in each for s in steps] for each in lists]
        woven = []
        while any(queues):
            n = self.rng.choice([i for i, q in enumerate(queues) if q])
            for _ in range(self.rng.choice([1, 1, 2, 5])):
                if queues[n]:
                    woven.append(queues[n].pop(0))
        return woven

    @staticmethod
    def _tended(steps):
        """With a look of the operator after each transaction that changes definitions."""
        made, group = [], {s.group for s in steps if s.target == "ddl"}
        for n, step in enumerate(steps):
            made.append(step)
            is_last = n + 1 == len(steps) or steps[n + 1].group != step.group
            if is_last and step.group in group:
                made.append(Step(-1, "", "tend", group=step.group))
        return made

    def _add_incidents(self, steps):
        last = len(steps)
        marks = [(self.rng.randint(0, last // 2), "create")]
        if self.options.incidents:
            names = [n for n in INCIDENTS if n not in self.options.without and
                     (self.options.restarts or not n.startswith("restart"))]
            if self.options.ddl:
                marks += [(self.rng.randint(marks[0][0], last), "operate")
                          for _ in range(self.rng.choice([0, 2, 6]))]
            for name in self.rng.choices(names, [INCIDENTS[n] for n in names],
                                         k=self.rng.choice([0, 1, 2, 3, 5])):
                marks.append((self.rng.randint(marks[0][0], last), name))
        for at, name in sorted(marks, reverse=True, key=lambda m: (m[0], m[1] != "create")):
            for n, step in reversed(list(enumerate(self._incident(name)))):
                steps.insert(min(at + n * self.rng.randint(1, 20), len(steps)), step)

    def _incident(self, name):
        """The steps of an incident; the second comes some steps after the first."""
        self.group += 1
        pairs = {"down": ["kill_only", "start"], "pause": ["pause", "resume"],
                 "lock_dest": ["lock_dest", "unlock_dest"]}
        t = self.rng.choice([t for t in self.tables if t.is_mirrored])
        target = f"{t.schema}.{t.name}"
        numbers = frozenset(t.needs) if name in ("resync_table", "swap_table", "lock_dest") else frozenset()
        return [Step(-1, "", kind, numbers, group=-1 if kind == "create" else self.group,
                     target=target) for kind in pairs.get(name, [name])]


def make_plan(seed, options):
    return Planner(seed, options).plan()
