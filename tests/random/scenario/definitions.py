"""Are the definitions of mirrored tables the same on both sides? Read from both catalogs, by means
of their own, and compared by name. What a mirror does otherwise on purpose is allowed for: foreign
keys are deferrable, identities can be written, columns that the mapping leaves out are not there."""
import re

RELATION = """
SELECT c.oid, c.relkind::text,
    -- of an index that was dropped the letter stays; no dump has it
    CASE WHEN c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
        WHERE i.indrelid = c.oid AND i.indisreplident) THEN 'd' ELSE c.relreplident::text END,
    pg_catalog.obj_description(c.oid, 'pg_class'),
    pg_catalog.pg_get_expr(c.relpartbound, c.oid),
    CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
    (SELECT pg_catalog.array_agg(o ORDER BY o) FROM pg_catalog.unnest(c.reloptions) o)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s"""
COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_catalog.replace(a.attidentity::text, 'a', 'd'), a.attgenerated::text,
    pg_catalog.pg_get_expr(d.adbin, d.adrelid), a.attcollation::pg_catalog.regcollation::text,
    pg_catalog.col_description(a.attrelid, a.attnum), a.attstorage::text
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d
    ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped"""
CONSTRAINTS = """
SELECT k.conname, k.contype::text, pg_catalog.pg_get_constraintdef(k.oid), k.convalidated,
    (SELECT pg_catalog.array_agg(a.attname ORDER BY u.n) FROM pg_catalog.unnest(k.conkey)
        WITH ORDINALITY u(attnum, n) JOIN pg_catalog.pg_attribute a
        ON a.attrelid = k.conrelid AND a.attnum = u.attnum), k.confrelid
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = %s AND k.conparentid = 0 AND k.contype IN ('p', 'u', 'x', 'c', 'f')"""
INDEXES = """
SELECT c.relname, pg_catalog.pg_get_indexdef(i.indexrelid), i.indisreplident,
    (SELECT pg_catalog.array_agg(a.attname) FROM pg_catalog.pg_depend dp
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = dp.refobjsubid
        WHERE dp.classid = 'pg_catalog.pg_class'::regclass AND dp.objid = i.indexrelid
        AND dp.refobjid = i.indrelid AND dp.refobjsubid > 0), i.indisprimary
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s AND i.indisvalid AND NOT c.relispartition
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid
        AND k.conrelid = i.indrelid)"""
SEQUENCES = """
SELECT a.attname, CASE d.deptype WHEN 'i' THEN 'identity' ELSE 'owned' END,
    pg_catalog.format('%%I.%%I', sn.nspname, s.relname), q.seqtypid::regtype::text,
    q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcycle
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.refobjid = %s AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')"""
PARENTS = """
SELECT n.nspname, c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c
ON c.oid = i.inhparent JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhrelid = %s ORDER BY i.inhseqno"""
TYPES = """
SELECT pg_catalog.format_type(t.oid, NULL), t.typtype::text,
    (SELECT pg_catalog.array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_catalog.pg_enum
        WHERE enumtypid = t.oid),
    pg_catalog.format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault,
    (SELECT pg_catalog.array_agg(k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid)
        ORDER BY k.conname) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid),
    (SELECT pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
        ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid
        AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
WHERE t.typtype IN ('e', 'd', 'c') AND (c.oid IS NULL OR c.relkind = 'c')
    AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', '_bunnydb')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e')"""


NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'


class Side:
    """One database. rename: names of tables there, as the other side has them."""

    def __init__(self, connection, rename):
        self.connection, self.rename = connection, rename

    def rows(self, query, *parameters):
        return self.connection.execute(query, parameters or None).fetchall()

    def relation(self, table):
        return (self.rows(RELATION, *table) or [None])[0]

    def name_of(self, oid):
        row = self.rows("SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN "
                        "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s", oid)
        return self.rename.get(row[0], row[0]) if row else None

    def columns(self, oid):
        """By name; a sequence's name is not looked at."""
        found = {}
        for row in self.rows(COLUMNS, oid):
            default = row[5] and re.sub(r"nextval\('.*'::regclass\)", "nextval(…)", row[5])
            found[row[0]] = row[1:5] + (default,) + row[6:]
        return found

    def constraints(self, oid, excluded, with_fkeys):
        found = {}
        for row in self.rows(CONSTRAINTS, oid):
            name, kind, text, is_valid, columns, other = row
            if excluded & set(columns or ()) or kind == "f" and not with_fkeys:
                continue
            if kind == "f":
                text = re.sub(rf" REFERENCES {NAME}(\.{NAME})?\(", " REFERENCES (", text, count=1)
                text = re.sub(r"( NOT)? DEFERRABLE| INITIALLY DEFERRED", "", text)
            found[name] = (kind, text, is_valid, self.name_of(other) if other else None)
        return found

    def indexes(self, oid, excluded):
        found = {}
        for name, text, is_identity, columns, _ in self.rows(INDEXES, oid):
            if not excluded & set(columns or ()):
                unique = text.startswith("CREATE UNIQUE")
                found[name] = (unique, text[text.index(" USING "):], is_identity)
        return found

    def sequences(self, oid, excluded):
        """Those that columns own: what they are, and where they stand."""
        found = {}
        for column, kind, name, *made in self.rows(SEQUENCES, oid):
            if column not in excluded:
                found[column, kind] = (made, self.rows(f"SELECT last_value, is_called FROM {name}")[0])
        return found

    def parents(self, oid):
        return [self.rename.get(p, p) for p in self.rows(PARENTS, oid)]

    def types(self):
        return {row[0]: row[1:] for row in self.rows(TYPES)}


def _apart(what, left, right, extra=frozenset()):
    """Lines: of two dictionaries. extra: keys that only the right may have."""
    lines = []
    for key in sorted(set(left) | set(right), key=str):
        if left.get(key) != right.get(key) and not (key in extra and key not in left):
            lines.append(f"{what} {key}: {left.get(key)} and {right.get(key)}")
    return lines


def differences(src, dst, tables, mirror, left_out=frozenset()):
    """tables: (source, destination, excluded columns), each a (schema, name). mirror: its options.
    left_out: what the program names as refused by the destination ("validate constraint c of s.t").
    Returns lines; none when all is equal but for that."""
    left = Side(src, {})
    right = Side(dst, {d: s for s, d, _ in tables})
    known = {s for s, _, _ in tables}
    lines = []
    for side in (src, dst):
        side.execute("SET search_path = ''")
    try:
        for source, dest, excluded in tables:
            lines += [f"{'.'.join(source)}: {line}" for line in
                      _of_table(left, right, source, dest, set(excluded), mirror, known, left_out)]
        there = right.types()
        lines += _apart("type", {n: t for n, t in left.types().items() if n in there}, there, there)
    finally:
        for side in (src, dst):
            side.execute("RESET search_path")
    return lines


def _of_table(left, right, source, dest, excluded, mirror, known, left_out):
    a, b = left.relation(source), right.relation(dest)
    if a is None or b is None:
        return [f"missing at the {'source' if a is None else 'destination'}"]
    columns = {n: c for n, c in left.columns(a[0]).items() if n not in excluded}
    lines = _apart("column", columns, right.columns(b[0]), excluded)
    names = ("kind", "replica identity", "comment", "bound", "partitioned", "options")
    for name, x, y in zip(names, a[1:], b[1:]):
        if x != y and not (name == "replica identity" and excluded):
            lines.append(f"{name}: {x} and {y}")
    with_fkeys = mirror.get("replicate_foreign_keys", True)
    mine = {n: c for n, c in left.constraints(a[0], excluded, with_fkeys).items()
            if not c[3] or c[3] in known}
    there = right.constraints(b[0], excluded, with_fkeys)
    lines += _apart("constraint", _reduced(_without(mine, there, dest, left_out), mirror),
                    _reduced(there, mirror))
    if mirror.get("replicate_indexes", True):
        lines += _apart("index", left.indexes(a[0], excluded), right.indexes(b[0], excluded))
    lines += _apart("sequence of", left.sequences(a[0], excluded), right.sequences(b[0], excluded))
    parents = [p for p in left.parents(a[0]) if p in known]
    if parents != right.parents(b[0]):
        lines.append(f"parents: {parents} and {right.parents(b[0])}")
    return lines


def _without(mine, there, dest, left_out):
    """The source's constraints, as the destination has them after what it is known to refuse."""
    found = {}
    for name, (kind, text, is_valid, other) in mine.items():
        of = f"{name} of {'.'.join(dest)}"
        if f"add foreign key {of}" in left_out and name not in there:
            continue
        if f"validate constraint {of}" in left_out and is_valid and name in there:
            text, is_valid = text + " NOT VALID", False
        found[name] = kind, text, is_valid, other
    return found


def _reduced(constraints, mirror):
    """Without what comes with indexes, if there are none but for keys."""
    if mirror.get("replicate_indexes", True):
        return constraints
    return {n: c for n, c in constraints.items() if c[0] not in "ux"}
