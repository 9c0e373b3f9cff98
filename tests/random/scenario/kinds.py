"""Types of columns and their values, as SQL expressions that give the same value at each run."""
from dataclasses import dataclass, field

from .names import literal, quote

TEXTS = ["", " ", "  ab  ", "a", "B", "NULL", "null", "\\N", "\\", "\\\\.", "\\.",
         "tab\tnew\nline\rret",
         "'", '"', '"quoted" \'single\'', "{}", "{a,b}", "(1,2)", ",", "%s %n", "$1", "é", "ÿ£",
         "\x01\x1f\x7f", "\b\f\v", "x" * 40, "0", "t", "f"]
WIDE = ["☃", "𝄞 clef", "e\u0301", "\u200b\u200e\u202e", "\ufffd\uffff", "\U0010ffff",
        "日本語",
        "ключ", "\ufeffbom", "İıß"]


@dataclass(eq=False)
class Kind:
    """sql: the type. draw(rng): an expression of that type. small: it may stand in a key or unique
    index (it has an order, and no value is long)."""
    sql: str
    draw: object
    small: bool = False
    edges: list = field(default_factory=list)
    is_text: bool = False  # values may be made large
    family: str = ""  # "enum", "domain": a type of its own, that may be altered

    def value(self, rng):
        """Cast, so that it has the type wherever it stands."""
        if self.edges and rng.random() < 0.5:
            expression = rng.choice(self.edges)
        else:
            expression = self.draw(rng)
        return f"({expression})::{self.sql}"


def _pick(*values):
    return lambda rng: rng.choice(values)


def _text(latin):
    pool = TEXTS if latin else TEXTS + WIDE

    def draw(rng):
        return literal("".join(rng.choice(pool) for _ in range(rng.randint(1, 4))))
    return draw


def _numeric(rng):
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 40)))
    scale = rng.randint(0, len(digits))
    at = len(digits) - scale
    return f"'{rng.choice(['', '-'])}{digits[:at] or 0}.{digits[at:] or 0}'"


def _float(rng):
    return f"'{rng.choice('-0')}{rng.randint(0, 10**17)}e{rng.randint(-30, 15)}'"


def _bytes(rng):
    return f"'\\x{rng.randbytes(rng.choice([0, 1, 7, 60])).hex()}'"


def _date(rng):
    return f"date '2000-01-01' + {rng.randint(-9999, 9999)}"


def _timestamp(rng):
    year = rng.choice([rng.randint(1, 4000), rng.randint(1990, 2030)])
    return (f"'{year:04d}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} "
            f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:{rng.random() * 59:.6f}"
            f"{rng.choice(['', ' BC'])}'")


def _interval(rng):
    return (f"'{rng.randint(-99, 99)} mon {rng.randint(-99, 99)} day "
            f"{rng.choice(['-', ''])}{rng.randint(0, 999)}:59:{rng.random() * 59:.6f}'")


def _json(rng, depth=2):
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(["null", "1", "-1.50", "1e10", '"s"', '"\\u00e9\\n"', "true", "[]", "{}"])
    items = [_json(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.5:
        return "[" + ", ".join(items) + "]"
    pairs = [f'"{rng.choice("abc")}{n % 2}":  {v}' for n, v in enumerate(items)]
    return "{" + " , ".join(pairs) + "}"


def _json_text(rng):
    return literal(_json(rng))


def _points(rng, least):
    return ",".join(f"({rng.randint(-9, 9)},{rng.random() * 9})"
                    for _ in range(rng.randint(least, least + 4)))


def _ints(low, high):
    def draw(rng):
        return str(rng.choice([rng.randint(low, high), rng.randint(-20, 20)]))
    return draw


def _hex(size):
    def draw(rng):
        return f"'{rng.randbytes(size).hex()}'"
    return draw


def _inet(rng):
    if rng.random() < 0.5:
        return f"'10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.1/{rng.randint(0, 32)}'"
    return f"'fe80::{rng.randint(0, 65535):x}:{rng.randint(0, 65535):x}/{rng.randint(0, 128)}'"


def _bits(most):
    def draw(rng):
        return "B'" + "".join(rng.choice("01") for _ in range(rng.randint(0, most))) + "'"
    return draw


NAN = ["'NaN'", "'Infinity'::float8 - 'Infinity'::float8"]  # the second has its sign bit set


def scalars(latin):
    text, wide = _text(latin), (TEXTS if latin else TEXTS + WIDE)
    strings = [literal(t) for t in wide]
    return [
        Kind("boolean", _pick("true", "false"), True),
        Kind("smallint", _ints(-32768, 32767), True, ["-32768", "32767", "0"]),
        Kind("integer", _ints(-2**31, 2**31 - 1), True, ["-2147483648", "2147483647", "0"]),
        Kind("bigint", _ints(-2**63, 2**63 - 1), True,
             ["'-9223372036854775808'", "'9223372036854775807'"]),
        Kind("numeric", _numeric, True, ["'NaN'", "'Infinity'", "'-Infinity'", "0.000", "-0.0",
                                         "'1e-130'", "'1e130'", "1.10", "1.1", "10000", "1e4"]),
        Kind("numeric(10,3)", lambda rng: str(rng.randint(-10**7, 10**7) / 100), True,
             ["'NaN'", "1.5", "-9999999.999"]),
        Kind("numeric(3,-2)", lambda rng: str(rng.randint(-99999, 99999)), True),
        Kind("numeric", _numeric, False, ["'9e5000'", "'1e-5000'", "'-1.5e3000'"]),
        Kind("real", lambda rng: f"'{rng.random() * 10**rng.randint(-30, 30)}'", True,
             ["'-0'", "0", "'3.4028235e38'", "'1.17549435e-38'", "'-Infinity'", "0.1"] + NAN),
        Kind("double precision", _float, True,
             ["'-0'", "0", "'1.7976931348623157e308'", "'5e-324'", "'Infinity'", "0.1"] + NAN),
        Kind("money", lambda rng: f"'{rng.randint(-10**9, 10**9) / 100}'", True,
             ["'-92233720368547758.08'", "'92233720368547758.07'"]),
        Kind("text", text, True, strings, True),
        Kind('text COLLATE "C"', text, True, strings, True),
        Kind("varchar(12)", text, True, strings),
        Kind("char(5)", text, True, strings),
        Kind('"char"', _pick("'a'", "''", "'Z'", "'\\'"), True, ["''"]),
        Kind("name", text, True, strings),
        Kind("bytea", _bytes, True, ["''", "'\\x00'", "'\\xff00ff5c27'"], True),
        Kind("date", lambda rng: f"date '2000-01-01' + {rng.randint(-700000, 700000)}", True,
             ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'0001-01-01'"]),
        Kind("time", lambda rng: f"'{rng.randint(0, 23)}:59:{rng.random() * 59:.6f}'", True,
             ["'00:00'", "'24:00'", "'23:59:59.999999'"]),
        Kind("time(2) with time zone",
             lambda rng: f"'{rng.randint(0, 23)}:01:02.34-0{rng.randint(0, 9)}'", True,
             ["'00:00+15:59'", "'24:00-15:59'", "'10:00+02'", "'09:00+01'"]),
        Kind("timestamp", _timestamp, True, ["'infinity'", "'-infinity'", "'4713-01-01 00:00 BC'",
                                             "'294276-12-31 23:59:59.999999'"]),
        Kind("timestamp with time zone", _timestamp, True,
             ["'infinity'", "'-infinity'", "'4713-01-02 00:00+00 BC'", "'0001-01-01 00:00+00'"]),
        Kind("interval", _interval, True, ["'178000000 years'", "'-1 mon -1 day -00:00:00.000001'",
                                           "'0'", "'30 days'", "'1 mon'", "'720:00'"]),
        Kind("interval day to second(1)", _interval, True),
        Kind("uuid", _hex(16), True, ["'00000000-0000-0000-0000-000000000000'"]),
        Kind("json", _json_text, False,
             ["'null'", "'{\"b\":1, \"a\" :  [1,2 ,null],\"a\":2}'"], True),
        Kind("jsonb", _json_text, True, ["'null'", "'1e400'", "'1.0'", "'1.00'"], True),
        Kind("jsonpath", _pick("'$'", "'$.a[*] ? (@ > 1)'", "'strict $.\"k\"'")),
        Kind("xml", _pick("'<a b=\"1\">x&amp;y</a>'", "'text only'", "'<a/><b/>'", "''",
                          "'<?xml version=\"1.0\" standalone=\"yes\"?><a/>'",
                          "'<?xml version=\"1.1\"?><a>  </a>'", "'<![CDATA[]]>'"), False, [], True),
        Kind("inet", _inet, True, ["'0.0.0.0/0'", "'fe80::1/64'", "'255.255.255.255'"]),
        Kind("cidr", lambda rng: f"'10.{rng.randint(0, 255)}.0.0/16'", True, ["'::/0'", "'::1'"]),
        Kind("macaddr", _hex(6), True, ["'ff:ff:ff:ff:ff:ff'"]),
        Kind("macaddr8", _hex(8), True),
        Kind("bit(9)", lambda rng: f"{rng.randint(0, 511)}::bit(9)", True),
        Kind("bit varying", _bits(20), True, ["B''", "B'0'", "B'00'"]),
        Kind("tsvector", _pick("'fat:1A cat:2B,3 ''odd word'':4'", "''", "'a b c'"), True),
        Kind("tsquery", _pick("'fat & (rat | !cat:AB)'", "''", "'a <2> b'"), True),
        Kind("point", lambda rng: f"'{_points(rng, 1).split('),')[0].rstrip(')')})'", False,
             ["'(NaN,Infinity)'", "'(-0,0)'", "point('Infinity'::float8 - 'Infinity', 1)"]),
        Kind("line", _pick("'{1,-1,0}'", "'{0,1,-0}'", "'{NaN,1,2}'")),
        Kind("lseg", _pick("'[(0,0),(1,1)]'", "'[(1,1),(-0,NaN)]'")),
        Kind("box", lambda rng: f"'({rng.randint(0, 9)},1),(0,{rng.randint(-9, 9)})'"),
        Kind("path", lambda rng: f"'{rng.choice(['[%s]', '(%s)']) % _points(rng, 1)}'"),
        Kind("polygon", lambda rng: f"'({_points(rng, 3)})'"),
        Kind("circle", lambda rng: f"'<(0.1,{rng.random()}),{rng.randint(0, 9)}>'"),
        Kind("oid", _ints(0, 9), True, ["'4294967295'"]),
        Kind("xid", _pick("'0'", "'4294967295'", "'7'")),
        Kind("cid", _pick("'0'", "'9'")),
        Kind("xid8", _pick("'0'", "'18446744073709551615'"), True),
        Kind("tid", _pick("'(0,1)'", "'(4294967295,65535)'"), True),
        Kind("pg_lsn", _pick("'0/0'", "'FFFFFFFF/FFFFFFFF'", "'16/B374D848'"), True),
        Kind("regclass", _pick("'pg_catalog.pg_class'", "'0'", "'pg_attribute'")),
        Kind("regtype", _pick("'integer'", "'timestamp with time zone'")),
        Kind("oidvector", _pick("'1 2 3'", "''"), True),
        Kind("int2vector", _pick("'1 2 3'", "'-1'")),
        Kind("pg_snapshot", _pick("'10:20:10,14,15'", "'1:1:'")),
        Kind("refcursor", _pick("'cursor'", "''")),
        Kind("aclitem", _pick("'postgres=r/postgres'", "'=ar/postgres'")),
    ]


def wider():
    """What columns become when their types change."""
    return [Kind("numeric(20,5)", _numeric), Kind("varchar(40)", _text(True), True)]


def _sorted_range(function, element):
    def draw(rng):
        a, b = element.value(rng), element.value(rng)
        bounds = rng.choice(["[]", "[)", "(]", "()"])
        if rng.random() < 0.2:
            a = "NULL"
        if rng.random() < 0.2:
            b = "NULL"
        if "NULL" in (a, b):
            return f"{function}({a}, {b}, '{bounds}')"
        return f"{function}(least({a}, {b}), greatest({a}, {b}), '{bounds}')"
    return draw


def range_of(name, element):
    return Kind(name, _sorted_range(name, element), True, ["'empty'", "'(,)'"])


def multirange_of(name, range_kind):
    def draw(rng):
        parts = [range_kind.value(rng) for _ in range(rng.randint(0, 3))]
        return f"{name}({', '.join(parts)})"
    return Kind(name, draw, True, ["'{}'"])


# bounds that neither overflow when a discrete range is made canonical nor mix with infinities
RANGES = [
    ("int4range", "int4multirange", Kind("integer", _ints(-1000, 1000))),
    ("int8range", "int8multirange", Kind("bigint", _ints(-2**60, 2**60))),
    ("numrange", "nummultirange", Kind("numeric", _numeric, False, ["'NaN'", "1.0", "1.00"])),
    ("tsrange", "tsmultirange", Kind("timestamp", _timestamp, False, ["'infinity'"])),
    ("tstzrange", "tstzmultirange", Kind("timestamptz", _timestamp, False, ["'-infinity'"])),
    ("daterange", "datemultirange", Kind("date", _date, False, ["'infinity'"])),
]


def ranges():
    made = []
    for name, multi, element in RANGES:
        made.append(range_of(name, element))
        made.append(multirange_of(multi, made[-1]))
    return made


def array_of(element):
    """Empty, with NULLs, of two dimensions, with other lower bounds."""
    base = element.sql.split(" COLLATE")[0]

    def draw(rng):
        def one():
            return "NULL" if rng.random() < 0.2 else element.value(rng)
        shape = rng.random()
        if shape < 0.1:
            return "'{}'"
        if shape < 0.25:
            return f"array_fill({element.value(rng)}, ARRAY[2, 1], ARRAY[{rng.randint(-3, 3)}, 0])"
        if shape < 0.4:
            return f"ARRAY[ARRAY[{one()}, {one()}]::{base}[], ARRAY[{one()}, {one()}]::{base}[]]"
        return f"ARRAY[{', '.join(one() for _ in range(rng.randint(1, 4)))}]"
    return Kind(f"{base}[]", draw, element.small, ["'{NULL}'"])


def enum(name, labels):
    return Kind(name, lambda rng: literal(rng.choice(labels)), True, family="enum")


def domain(name, base):
    return Kind(name, base.draw, base.small, base.edges, base.is_text, "domain")


def composite(name, kinds):
    def draw(rng):
        cells = ["NULL" if rng.random() < 0.2 else k.value(rng) for k in kinds]
        return f"ROW({', '.join(cells)})"
    return Kind(name, draw, False)


def qualified(schema, name):
    return f"{quote(schema)}.{quote(name)}"


def large(rng, kind, size):
    """A value of about size bytes that does not compress well, for the kinds that can."""
    seed = rng.randint(0, 10**9)
    text = (f"(SELECT string_agg(md5(({seed} + i)::text), '') "
            f"FROM generate_series(1, {size // 32 + 1}) i)")
    if rng.random() < 0.3:
        text = f"repeat('{rng.choice('ab')}{seed}', {size // 8 + 1})"
    if kind.sql == "bytea":
        text = f"decode({text}, 'hex')" if text.startswith("(S") else f"({text})::bytea"
    elif kind.sql in ("json", "jsonb"):
        text = f"to_json({text})"
    return f"({text})::{kind.sql}"
