"""The kinds of one scenario: built-in ones, and types of its own with odd names."""
from . import kinds as k
from .names import clip, literal

LABELS = ["sad", "ok", "it's \"complicated\"", "Ok", " ", "a,b", "NULL", "{}", "z" * 63]


class Types:
    """Statements that make the types are in create; all holds every kind, small those for keys."""

    def __init__(self, rng, names, schemas, latin):
        self.rng, self.names, self.schemas = rng, names, schemas
        self.create = []
        self.scalars = k.scalars(latin)
        self.small = [s for s in self.scalars if s.small]
        self.own = []
        self.collation()
        for _ in range(rng.randint(0, 5)):
            rng.choice([self.enum, self.domain, self.composite, self.range])()
        self.extensions()
        basic = self.scalars + k.ranges()
        arrays = [k.array_of(rng.choice(basic + self.own)) for _ in range(6)]
        self.small += [a for a in arrays + k.ranges() + self.own if a.small]
        self.all = basic + arrays
        self.texts = [s for s in self.scalars if s.is_text]

    def any(self):
        """Any kind; the scenario's own ones come often, as they are few."""
        if self.own and self.rng.random() < 0.2:
            return self.rng.choice(self.own)
        return self.rng.choice(self.all)

    def _name(self, stem):
        return k.qualified(self.rng.choice(self.schemas), self.names.fresh(stem))

    def _add(self, kind, sql):
        self.create.append(sql)
        self.own.append(kind)

    def collation(self):
        if self.rng.random() < 0.3:
            name = self._name("nocase")
            self.create.append(f"CREATE COLLATION {name} (provider = icu, locale = "
                               "'und-u-ks-level2', deterministic = false)")
            text = next(s for s in self.scalars if s.sql == "text")
            self.own.append(k.Kind(f"text COLLATE {name}", text.draw, True, ["'a'", "'A'"]))

    def enum(self):
        labels = self.rng.sample(LABELS, self.rng.randint(1, len(LABELS)))
        name = self._name("mood")
        self._add(k.enum(name, labels),
                  f"CREATE TYPE {name} AS ENUM ({', '.join(map(literal, labels))})")

    def domain(self):
        name = self._name("dom")
        base = self.rng.choice(self.scalars + self.own)
        if self.rng.random() < 0.4:
            base = k.array_of(base)
        if "COLLATE" in base.sql or "serial" in base.sql:
            return
        check = self.rng.choice(["", " CHECK (VALUE IS NOT NULL OR true)", " DEFAULT NULL"])
        self._add(k.domain(name, base), f"CREATE DOMAIN {name} AS {base.sql}{check}")

    def composite(self):
        name, used = self._name("comp"), set()
        parts = [self.rng.choice(self.scalars + self.own) for _ in range(self.rng.randint(1, 4))]
        fields = ", ".join(f"{k.quote(self.names.fresh('f', used))} {p.sql}" for p in parts)
        self._add(k.composite(name, parts), f"CREATE TYPE {name} AS ({fields})")

    def range(self):
        # a server cuts a long name in the middle of a character, to make that of the multirange
        short = clip(self.names.fresh("span"), 40)
        name = k.qualified(self.rng.choice(self.schemas), short)
        base = self.rng.choice([s for s in self.small if s.sql in (
            "double precision", "real", "inet", "time", "text", "uuid", "pg_lsn", "boolean")])
        self._add(k.range_of(name, base), f"CREATE TYPE {name} AS RANGE (subtype = {base.sql})")

    def extensions(self):
        for name, kind in (("hstore", self._hstore), ("citext", self._citext)):
            if self.rng.random() < 0.25:
                schema = self.rng.choice(self.schemas)
                self.create.append(f"CREATE EXTENSION {name} SCHEMA {k.quote(schema)}")
                self.own.append(kind(k.qualified(schema, name)))

    @staticmethod
    def _hstore(sql):
        values = ["''", "'\"k\"=>\"v\", \"n\"=>NULL'", "'a=>1'"]
        return k.Kind(sql, lambda rng: rng.choice(values), True)

    @staticmethod
    def _citext(sql):
        return k.Kind(sql, lambda rng: rng.choice(["'MiXed'", "'mixed'", "''", "'b'"]), True)
