"""Tables as they stand at the source in the moment of a change: read from its catalog, in the
session that makes the change. Where definitions change while a scenario runs, its statements are
made then, each from a seed of its own."""
import random
from dataclasses import dataclass, field

from . import kinds as k
from .changes import Changes
from .ddl import Ddl
from .model import Column, Step, Table
from .names import quote

RELATION = """
SELECT n.nspname, c.relname, c.relkind, c.relreplident, c.relispartition
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s"""
COLUMNS = """
SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity::text,
    a.attgenerated::text, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typtype::text,
    pg_catalog.pg_get_expr(d.adbin, d.adrelid),
    CASE WHEN t.typtype = 'e' THEN (SELECT pg_catalog.array_agg(enumlabel::text ORDER BY enumsortorder)
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) END,
    a.attislocal
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
INDEXES = """
SELECT c.relname, i.indisprimary, i.indisunique, i.indimmediate, i.indisreplident, i.indisvalid,
    i.indpred IS NULL AND i.indexprs IS NULL, i.indkey::int2[], EXISTS (SELECT FROM
    pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid), n.nspname, c.relispartition
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = %s ORDER BY c.relname"""
CONSTRAINTS = """
SELECT k.conname, k.contype::text, k.convalidated, k.conkey, pn.nspname, p.relname,
    (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.confrelid
        AND a.attnum = k.confkey[1]), k.coninhcount > 0 OR k.conparentid <> 0
FROM pg_catalog.pg_constraint k LEFT JOIN pg_catalog.pg_class p ON p.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.conrelid = %s ORDER BY k.conname"""
TREE = """
SELECT n.nspname, c.relname, t.isleaf, t.level, pg_catalog.pg_get_expr(c.relpartbound, c.oid),
    t.parentrelid::oid
FROM pg_catalog.pg_partition_tree(%s) t JOIN pg_catalog.pg_class c ON c.oid = t.relid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE t.level > 0 ORDER BY t.level, 1, 2"""


@dataclass(eq=False)
class Index:
    name: str
    schema: str
    is_primary: bool
    is_unique: bool
    is_immediate: bool
    is_identity: bool
    is_valid: bool
    is_plain: bool  # of columns, of all rows
    columns: list
    is_constraint: bool
    is_attached: bool  # it is part of its partitioned table's

    @property
    def q(self):
        return k.qualified(self.schema, self.name)


@dataclass(eq=False)
class Constraint:
    name: str
    kind: str
    is_valid: bool
    columns: list
    is_inherited: bool


@dataclass(eq=False)
class LiveTable(Table):
    oid: int = 0
    identity: str = "d"
    all_indexes: list = field(default_factory=list)
    constraints: list = field(default_factory=list)
    parts: list = field(default_factory=list)  # (schema, name, is_leaf, level, bound, parent oid)
    fixed: frozenset = frozenset()  # names of columns that the mapping leaves out


class Live:
    """What is known beyond the catalog: kinds of types, values of keys, which table is which."""

    def __init__(self, plan):
        self.plan = plan
        self.kinds = {}
        self.oids = {}
        self.pools = {}
        self.done = {}  # what kinds of DDL were carried out, how often; others were refused
        self.refused = {}

    def learn(self, connection):
        """After the setup."""
        kinds = list(dict.fromkeys(self.plan.kinds))
        columns = ", ".join(f"c{n} {x.sql}" for n, x in enumerate(kinds))
        connection.execute(f"CREATE TEMP TABLE kinds ({columns})")
        found = connection.execute(COLUMNS, (connection.execute(
            "SELECT 'pg_temp.kinds'::regclass::oid").fetchone()[0],)).fetchall()
        for kind, row in zip(kinds, found):
            self.kinds.setdefault((row[2], row[3]), kind)
        connection.execute("DROP TABLE kinds")
        for t in self.plan.tables:
            oid = connection.execute("SELECT %s::regclass::oid", (t.q,)).fetchone()[0]
            self.oids[t.number] = oid
            by_name = {c.name: c for c in t.columns}
            for row in connection.execute(COLUMNS, (oid,)).fetchall():
                c = by_name.get(row[1])
                if c is not None and c.pool:
                    self.pools[(t.number, row[0], row[2])] = c.pool

    # --- reading -------------------------------------------------------------------------------
    def _kind(self, row):
        typid, typmod, text, labels = row[2], row[3], row[7], row[10]
        known = self.kinds.get((typid, typmod))
        if labels:
            return k.enum(known.sql if known else text, labels)
        return known or k.Kind(text, lambda rng: "NULL")

    def _pool(self, t, attnum, typid, kind):
        """Of a key whose values were not chosen beforehand."""
        key = (t.number, attnum, typid)
        if key not in self.pools:
            rng = random.Random(f"{self.plan.seed} {key}")
            self.pools[key] = [kind.value(rng) for _ in range(12)]
        return self.pools[key]

    def read(self, connection, number):
        """The table, or None when it is gone."""
        plain = next(t for t in self.plan.tables if t.number == number)
        head = connection.execute(RELATION, (self.oids[number],)).fetchone()
        if head is None:
            return None
        t = LiveTable(number, head[0], head[1], oid=self.oids[number], identity=head[3],
                      is_partitioned=head[2] == "p", is_mirrored=plain.is_mirrored,
                      fixed=frozenset(plain.mapping.get("exclude_columns", ())))
        rows = connection.execute(COLUMNS, (t.oid,)).fetchall()
        by_number = {}
        for row in rows:
            role = "generated" if row[6] else "always" if row[5] == "a" else "plain"
            c = Column(row[1], self._kind(row), role=role, nullable=not row[4])
            c.attnum, c.identity, c.default, c.is_local = row[0], row[5], row[9], row[11]
            c.typid = row[2]
            t.columns.append(c)
            by_number[row[0]] = c
        self._read_indexes(connection, t, by_number)
        self._read_constraints(connection, t, by_number)
        if t.is_partitioned:
            t.parts = connection.execute(TREE, (t.oid,)).fetchall()
            t.leaves = [k.qualified(p[0], p[1]) for p in t.parts if p[2]]
        t.is_big = plain.is_big and bool(t.key) and [(c.name, c.kind.sql, c.role) for c in t.columns[:3]] == [
            ("id", "integer", "plain"), ("v", "text", "plain"), ("n", "integer", "plain")]
        return t

    def _read_indexes(self, connection, t, by_number):
        for row in connection.execute(INDEXES, (t.oid,)).fetchall():
            columns = [by_number.get(n) for n in row[7]]
            t.all_indexes.append(Index(row[0], row[9], *row[1:7], columns, row[8], row[10]))
        able = [i for i in t.all_indexes if i.is_unique and i.is_plain and i.is_valid and
                (i.is_primary or i.is_identity) and None not in i.columns]
        able.sort(key=lambda i: not i.is_primary)
        if able:
            t.key = able[0].columns
            t.has_conflict_target = able[0].is_immediate
            t.is_deferrable = not able[0].is_immediate
            for c in t.key:
                c.pool = self._pool(t, c.attnum, c.typid, c.kind)
        for c in t.columns:
            c.pool = c.pool or self.pools.get((t.number, c.attnum, c.typid))

    @staticmethod
    def _read_constraints(connection, t, by_number):
        for row in connection.execute(CONSTRAINTS, (t.oid,)).fetchall():
            columns = [by_number.get(n) for n in row[3] or ()]
            t.constraints.append(Constraint(row[0], row[1], row[2], columns, row[7]))
            if row[1] == "f" and len(columns) == 1 and columns[0]:
                parent = Table(-1, row[4], row[5])
                parent.key = [Column(row[6], columns[0].kind)]
                columns[0].parent = parent

    # --- making --------------------------------------------------------------------------------
    def make(self, connection, step, in_transaction):
        """The statements of a live step, from its seed and the definitions of now."""
        rng = random.Random(f"{self.plan.seed} {step.seed}")
        t = self.read(connection, step.table)
        if t is None:
            return []
        if step.target == "ddl":
            # others: each is read only when it is asked for
            others = [x.number for x in self.plan.tables if x.number != t.number and not x.is_tick]

            def other():
                return self.read(connection, rng.choice(others)) if others else None

            def ask(sql, *values):
                return connection.execute(sql, values).fetchall()
            return Ddl(rng, t, other, self.plan, in_transaction, ask).some()
        other = rng.choice([t.number for t in self.plan.tables if not t.is_tick])
        tables = [t, self.read(connection, other) or t] if rng.random() < 0.1 else [t]
        return Changes(rng, tables, self.plan.big_values).some(t)

    def count(self, what, outcome):
        counts = self.refused if outcome else self.done
        counts[what] = counts.get(what, 0) + 1


def live_step(rng, t, target="change"):
    """To be made when it is its turn."""
    return Step(0, f"{target} of {quote(t.name)}", "live", frozenset({t.number}),
                rng.random() < 0.85, target=target, seed=rng.randrange(10**9), table=t.number)
