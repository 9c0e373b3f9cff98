"""Partitions of a random table: list, range, hash, below each other, with a default, attached."""
from dataclasses import dataclass, field

from .kinds import Kind, qualified
from .names import literal

INT = Kind("integer", lambda rng: str(rng.randint(0, 59)), True)
DATE = Kind("date", lambda rng: f"date '2024-01-01' + {rng.randint(0, 59)}", True)
TEXT = Kind("text", None, True)
WORDS = ["a", "b", "", "it's", "ß", "NULL", "C d", "\\"]
HASHABLE = ("integer", "text", "uuid", "numeric", "bigint", "timestamp", "boolean", "date", "inet")


@dataclass
class Partitioning:
    clause: str
    bounds: list  # FOR VALUES …, one a partition
    below: object = None  # how one of the partitions is partitioned again
    names: list = field(default_factory=list)


def _list(rng, column):
    column.kind = TEXT
    column.pool = [f"({literal(w)})::text" for w in WORDS]
    words = rng.sample(WORDS, len(WORDS))
    bounds = [f"FOR VALUES IN ({literal(words[0])}, {literal(words[1])})",
              f"FOR VALUES IN ({literal(words[2])}{', NULL' if column.nullable else ''})"]
    if rng.random() < 0.8:
        bounds.append("DEFAULT")
    return Partitioning(f"LIST ({column.q})", bounds)


def _range(rng, column):
    column.kind = rng.choice([INT, DATE])
    column.pool = [column.kind.value(rng) for _ in range(40)]

    def at(n):
        return str(n) if column.kind is INT else f"date '2024-01-01' + {n}"
    cuts = sorted(rng.sample(range(1, 59), rng.randint(1, 3)))
    edges = ["MINVALUE"] + [at(n) for n in cuts]
    bounds = [f"FOR VALUES FROM ({a}) TO ({b})" for a, b in zip(edges, edges[1:])]
    last = f"FOR VALUES FROM ({edges[-1]}) TO (MAXVALUE)"
    bounds.append("DEFAULT" if rng.random() < 0.7 else last)
    return Partitioning(f"RANGE ({column.q})", bounds)


def _hash(rng, column):
    if column.kind.sql not in HASHABLE:
        column.kind, column.pool = INT, [INT.value(rng) for _ in range(40)]
    count = rng.randint(1, 4)
    return Partitioning(f"HASH ({column.q})", [
        f"FOR VALUES WITH (MODULUS {count}, REMAINDER {n})" for n in range(count)])


def _one(rng, column):
    return rng.choice([_list, _range, _hash])(rng, column)


def choose(rng, t, without_key):
    """How t is partitioned; its columns get kinds and values that fit. None: it cannot be."""
    able = [c for c in t.key if c.role == "plain" and not c.extra.startswith("GEN")]
    if without_key:
        able = [c for c in t.columns if c.role == "plain" and not c.parent and
                "DEFAULT" not in c.extra]
    generated = " ".join(c.extra for c in t.columns if c.role == "generated")
    able = [c for c in able if c.q not in generated]
    if not able or any(c.parent is t for c in t.columns):
        return None
    chosen = rng.sample(able, min(2, len(able)))
    top = _one(rng, chosen[0])
    if len(chosen) == 2 and rng.random() < 0.5:
        top.below = _one(rng, chosen[1])
    return top


def _attached(rng, t, name, bound):
    """Made by itself, columns in another order, and attached."""
    columns = rng.sample(t.columns, len(t.columns))
    lines = [f"{c.q} {c.kind.sql}" + ("" if c.nullable else " NOT NULL") for c in columns]
    lines.insert(rng.randint(0, len(lines)), '"left over" integer')
    return [f"CREATE TABLE {name} ({', '.join(lines)})",
            f'ALTER TABLE {name} DROP COLUMN "left over"',
            f"ALTER TABLE {t.q} ATTACH PARTITION {name} {bound}"]


def _partition(rng, names, schemas, t, parent, bound, below=""):
    schema, name = rng.choice(schemas), names.fresh("p")
    q = qualified(schema, name)
    t.part_names.append((schema, name))
    plain = all(c.role == "plain" and not c.parent for c in t.columns)
    if not below and parent == t.q and plain and rng.random() < 0.3:
        t.create += _attached(rng, t, q, bound)
    else:
        t.create.append(f"CREATE TABLE {q} PARTITION OF {parent} {bound}{below}")
    return q


def write(rng, names, schemas, t, p):
    sub = rng.randrange(len(p.bounds)) if p.below else -1
    for n, bound in enumerate(p.bounds):
        if n != sub:
            t.leaves.append(_partition(rng, names, schemas, t, t.q, bound))
            continue
        middle = _partition(rng, names, schemas, t, t.q, bound, f" PARTITION BY {p.below.clause}")
        for below in p.below.bounds:
            t.leaves.append(_partition(rng, names, schemas, t, middle, below))
