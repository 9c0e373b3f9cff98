"""What a scenario is made of: tables as the generator knows them, and steps."""
from dataclasses import dataclass, field

from .kinds import Kind, qualified
from .names import quote


@dataclass(eq=False)
class Column:
    name: str
    kind: Kind
    extra: str = ""  # behind the type: NOT NULL, DEFAULT, GENERATED …
    role: str = "plain"  # or "generated", "always" (identity)
    pool: list = None  # the values of a key: few, so that they meet
    parent: object = None  # the table whose key it refers to
    nullable: bool = True
    # known of live ones only
    attnum: int = 0
    typid: int = 0
    identity: str = ""
    default: str = None
    is_local: bool = True

    @property
    def q(self):
        return quote(self.name)

    def value(self, rng):
        if self.nullable and rng.random() < 0.15:
            return f"NULL::{self.kind.sql}"
        if self.parent:
            key, n = self.parent.key[0].q, rng.randint(0, 99)
            return (f"(SELECT {key} FROM {self.parent.q} ORDER BY {key} OFFSET (SELECT {n} % "
                    f"greatest(count(*), 1) FROM {self.parent.q}) LIMIT 1)")
        if self.pool:
            return rng.choice(self.pool)
        return self.kind.value(rng)


@dataclass(eq=False)
class Table:
    number: int
    schema: str
    name: str
    columns: list = field(default_factory=list)
    key: list = field(default_factory=list)  # of the primary key, or what stands for it
    has_conflict_target: bool = False  # ON CONFLICT (key) is possible
    is_deferrable: bool = False
    leaves: list = field(default_factory=list)  # qualified and quoted; of a partitioned table
    part_names: list = field(default_factory=list)  # (schema, name) of all its partitions
    parents: list = field(default_factory=list)  # tables that it refers to or inherits from
    indexes: list = field(default_factory=list)  # that may stand for the identity, quoted
    is_partitioned: bool = False
    is_mirrored: bool = True
    is_big: bool = False
    is_tick: bool = False
    mapping: dict = field(default_factory=dict)  # beyond the name: destination, exclude_columns
    create: list = field(default_factory=list)

    @property
    def q(self):
        return qualified(self.schema, self.name)

    @property
    def writable(self):
        return [c for c in self.columns if c.role != "generated"]

    @property
    def plain(self):
        """Columns that an UPDATE may set and that are no key."""
        return [c for c in self.columns if c.role == "plain" and c not in self.key]

    @property
    def needs(self):
        """Numbers of the tables without which it cannot be, its own included."""
        found = {self.number}
        for p in self.parents:
            found |= p.needs if p is not self else set()
        return found


@dataclass(eq=False)
class Step:
    """kind: sql, copy (sql has the rows, table takes them), or the name of an incident."""
    session: int
    sql: str
    kind: str = "sql"
    tables: frozenset = frozenset()
    guarded: bool = False  # inside a savepoint of its own
    group: int = -1  # steps of one transaction leave together when a failure is made small
    target: str = ""  # copy: table and columns; resync: the table; live: what is to be made
    seed: int = 0  # live: of its statements
    table: int = -1  # live: the number of its table
    label: str = ""  # what it is called in counts
