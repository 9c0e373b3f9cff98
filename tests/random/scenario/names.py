"""Identifiers that break programs which do not quote, cut bytes, or trust letters."""

ODD = [
    "select", "table", "user", "order", "from", "end", "null", "default", "values", "primary",
    "Upper", "CamelCase", "two words", " leading", "trailing ", 'q"uote', '""', "it's", "a.b", ".",
    "%s", "%n$1", "$1", "back\\slash", "\\N", "semi;colon", "-- no comment", "/* no */",
    "tab\there", "new\nline", "{}", "{a,b}", "(p)", "[0]", "*", "?", "::int", "1st", "_", "Ünï",
    "ŵ", "naïve", "日本語", "ключ", "☃", "𝄞 clef", "e\u0301", "ß", "İ", "\u200b", "t", "x", "f",
    "c", "o", "d", "s", "old", "new", "excluded", "row", "record", "n", "v", "id", "lsn", "progress", "oid",
    "regclass",
]
LATIN = [n for n in ODD if all(ord(ch) < 256 for ch in n)]


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    """A string constant; standard_conforming_strings is on."""
    return "'" + text.replace("'", "''") + "'"


def clip(text, size=63):
    """At most size bytes, no character cut."""
    return text.encode()[:size].decode(errors="ignore")


class Names:
    """Fresh names: each object of the database has another one, as sequences, indexes, types and
    tables share one space."""

    def __init__(self, rng, latin=False):
        self.rng = rng
        self.pool = LATIN if latin else ODD
        self.wide = "é" if latin else "☃"
        # names that a server makes of others are cut in its own encoding; these stay below that
        self.most = 25 if latin else 63
        self.used = set()

    def fresh(self, stem, used=None):
        """stem is what a plain name begins with."""
        used = self.used if used is None else used
        while True:
            name = self._draw(stem, len(used))
            if name not in used:
                used.add(name)
                return name

    def _draw(self, stem, number):
        kind = self.rng.random()
        if kind < 0.45:
            return f"{stem}{number}"
        if kind < 0.8:
            return self.rng.choice(self.pool)
        if kind < 0.9:
            long = f"{self.rng.choice(self.pool)} {stem}{number} {self.wide * 30}"
            return clip(long, self.most)
        return clip(f"{stem}{number}_" + "x" * 63, self.most)
