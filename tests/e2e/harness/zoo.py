"""Values at their edges, of all types: built in, of extensions, and of the user's. One list for the
tests that copy and stream them."""

# type, values as they would be written in SQL; each type is one column, each value one row
ZOO = [
    ("boolean", ["true", "false"]),
    ("smallint", ["-32768", "32767"]),
    ("integer", ["-2147483648", "2147483647"]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"]),
    ("numeric", ["'NaN'", "'Infinity'", "'-Infinity'", "0.000", "1e-130", "1e130", "-1.10",
                 "123456789012345678901234567890.123456789"]),
    ("numeric(10,3)", ["1.5", "-9999999.999", "'NaN'"]),
    ("real", ["'Infinity'::real - 'Infinity'::real", "'NaN'", "'Infinity'", "'-0'", "3.4028235e38",
              "1.17549435e-38", "0.1"]),
    ("double precision", ["'Infinity'::float8 - 'Infinity'::float8", "'NaN'", "'-Infinity'", "'-0'",
                          "1.7976931348623157e308", "5e-324", "0.1"]),
    ("money", ["'-92233720368547758.08'", "'12.34'"]),
    ("text", ["''", "E'tab\\tnewline\\nreturn\\rback\\\\slash\\\\N'", "'\\N'", "'ünï ☃ 𝄞'",
              "repeat('long ', 30000)", "'NULL'", "'\"quoted\" ''single'''"]),
    ("varchar(10)", ["'ab  '", "''"]),
    ("char(8)", ["'ab'", "''"]),
    ('"char"', ["'a'", "''", "'\\377'"]),
    ("name", ["'a name'"]),
    ("bytea", ["''", "'\\x00ff5c27'", "(SELECT decode(string_agg(lpad(to_hex(i), 2, '0'), ''), "
               "'hex') FROM generate_series(0, 255) i)"]),
    ("date", ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'0001-01-01'"]),
    ("time", ["'00:00'", "'24:00'", "'23:59:59.999999'"]),
    ("time with time zone", ["'00:00+15:59'", "'23:59:59.999999-15:59'"]),
    ("timestamp", ["'infinity'", "'-infinity'", "'4713-01-01 00:00 BC'",
                   "'294276-12-31 23:59:59.999999'"]),
    ("timestamp with time zone", ["'infinity'", "'4713-01-02 00:00+00 BC'",
                                  "'294276-12-31 23:59:59.999999+00'"]),
    ("interval", ["'178000000 years'", "'-1 mon -1 day -00:00:00.000001'", "'0'",
                  "'1 year -2 days 03:04:05.6'"]),
    ("uuid", ["'00000000-0000-0000-0000-000000000000'", "gen_random_uuid()"]),
    ("json", ["'{\"b\":1, \"a\" :  [1,2 ,null],\"a\":2}'", "'null'", "'\"\\u00e9\"'"]),
    ("jsonb", ["'{\"b\":1, \"a\" :  [1,2 ,null]}'", "'null'", "'1e400'",
               "'{\"\": {\"k\": \"☃\"}}'"]),
    ("jsonpath", ["'$.a[*] ? (@ > 1)'"]),
    ("xml", ["'<a b=\"1\">x&amp;y</a>'", "''", "'text only'"]),
    ("inet", ["'0.0.0.0/0'", "'fe80::1/64'", "'255.255.255.255'"]),
    ("cidr", ["'10.0.0.0/8'", "'::/0'"]),
    ("macaddr", ["'ff:ff:ff:ff:ff:ff'"]),
    ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    ("bit(9)", ["B'101010101'"]),
    ("bit varying", ["B''", "B'1'", "repeat('01', 500)::varbit"]),
    ("tsvector", ["'fat:1A cat:2B,3 ''odd word'':4'", "''"]),
    ("tsquery", ["'fat & (rat | !cat:AB)'", "''"]),
    ("point", ["'(1.5,-2)'", "'(NaN,Infinity)'"]),
    ("line", ["'{1,-1,0}'"]),
    ("lseg", ["'[(0,0),(1,1)]'"]),
    ("box", ["'(1,1),(0,0)'"]),
    ("path", ["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1,1),(2,0))'"]),
    ("polygon", ["'((0,0),(1,1),(2,0))'"]),
    ("circle", ["'<(0.1,0.2),3>'"]),
    ("int4range", ["'empty'", "'[1,10)'", "'(,)'", "'[5,)'"]),
    ("numrange", ["'[0.1,0.2]'", "'(,1)'"]),
    ("tstzrange", ["'[2024-01-01 00:00+00,infinity)'", "'empty'"]),
    ("daterange", ["'[-infinity,2024-01-01)'"]),
    ("int8multirange", ["'{}'", "'{[1,2],[5,)}'"]),
    ("integer[]", ["'{}'", "'{1,NULL,3}'", "'[-1:1]={1,2,3}'", "'{{1,2},{3,4}}'"]),
    ("text[]", ["'{\"\",\"a b\",\"NULL\",NULL,\"q\\\"\",\"b\\\\\\\\s\",\"{}\",\",\"}'",
                "'[2:3][0:0]={{x},{y}}'"]),
    ("bytea[]", ["ARRAY['\\x00'::bytea, '\\xff']"]),
    ("jsonb[]", ["ARRAY['{\"a\": \"\\\\\"}'::jsonb, NULL]"]),
    ("timestamptz[]", ["ARRAY['infinity'::timestamptz, '0001-01-01 BC']"]),
    ("oid", ["4294967295"]),
    ("oidvector", ["'1 2'", "''"]),
    ("int2vector", ["'-1 2'", "''"]),
    ("xid8", ["'18446744073709551615'"]),
    ("pg_lsn", ["'FFFFFFFF/FFFFFFFF'"]),
    ("regclass", ["'pg_catalog.pg_class'"]),
    ("mood", ["'sad'", "'it''s \"complicated\"'"]),
    ("mood[]", ["'{sad,NULL,ok}'", "'{}'"]),
    ("positive", ["1", "2147483647"]),
    ("ints", ["'{1,2}'"]),
    ("pair", ["ROW(1, 'a,b \"c\" (d)')", "ROW(NULL, NULL)", "ROW(2, '')"]),
    ("pair[]", ["ARRAY[ROW(1, 'x')::pair, NULL]"]),
    ("floats", ["'[0.5,1.5)'", "'empty'"]),
    ("tree", ["'\"k\"=>\"v\", \"n\"=>NULL'", "''"]),
    ("citext", ["'MiXed'"]),
]

# Further edges, types of extensions and of the user's.
ZOO += [
    ('"char"', ["(-1)::\"char\"", "(-128)::\"char\"", "127::\"char\"", "10::\"char\"",
                "92::\"char\"", "9::\"char\""]),
    ("numeric(3,-2)", ["12345"]),
    ("numeric", ["'1e-16383'", "'9e131071'", "'-0.0'", "1e16"]),
    ("time(0)", ["'24:00'"]),
    ("timetz", ["'00:00:00.5+15:59:59'", "'24:00-15:59:59'", "'12:00+00:00:01'"]),
    ("interval", ["'-178000000 years'", "'1 mon -1 day 00:00:00.000001'", "'2147483647 days'",
                  "'-2562047788:00:54.775807'", "'-1 year 2 mons -3 days 4:05:06'",
                  "'2562047788:00:54.775807'"]),
    ("interval year to month", ["'1-2'"]),
    ("interval(0)", ["'1.5 s'"]),
    ("xml", ["'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>é</a>'",
             "'<?xml version=\"1.0\" encoding=\"ISO-8859-1\" standalone=\"no\"?>"
             "<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>'",
             "' <a/> '", "'<!-- c --><a/><!-- d -->'"]),
    ("json", ["E'{ \"a\" : 1.0,\\n\\t\"a\":1.00 , \"u\":\"\\\\u0000\\\\ud834\\\\udd1e\" }'",
              "' 1 '", "'1e999999'"]),
    ("jsonb", ["'{\"a\": 1.0, \"b\": 1.00, \"c\": -0, \"d\": 1e5, \"e\": 1E-5}'",
               "'\"\\ud834\\udd1e\\u00e9\\/\"'", "'\"\"'", "'[]'", "'0.1000'"]),
    ("path", ["'((0,0))'", "'[(NaN,-0)]'"]),
    ("polygon", ["'((1,1))'"]),
    ("box", ["'(NaN,1),(Infinity,-Infinity)'"]),
    ("circle", ["'<(1,1),0>'", "'<(NaN,1),Infinity>'"]),
    ("pg_snapshot", ["'10:20:10,14,15'"]),
    ("txid_snapshot", ["'10:20:10,14,15'"]),
    ("tid", ["'(4294967295,65535)'"]),
    ("xid", ["'4294967295'"]),
    ("cid", ["'4294967295'"]),
    ("refcursor", ["'c'"]),
    ("inet", ["'::ffff:1.2.3.4/128'", "'1.2.3.4/32'", "'1.2.3.4/31'"]),
    ("tsvector", ["'a:1A,2B,16383C'", "array_to_tsvector(array['a b','''', E'\\\\'])",
                  "(SELECT string_agg('w' || i || ':' || i, ' ') FROM generate_series(1, 300) i)"
                  "::tsvector"]),
    ("tsquery", ["'a <-> b <3> c:*AB'", "'!(!a)'"]),
    ("tsrange", ["'[0001-01-01 BC,infinity]'", "'(-infinity,)'"]),
    ("datemultirange", ["'{[2000-01-01,2000-02-01),(2001-01-01,)}'"]),
    ("regtype", ["'integer'", "'pg_catalog.int4[]'"]),
    ("regproc", ["'now'", "0"]),
    ("regprocedure", ["'now()'"]),
    ("regoper", ["'pg_catalog.||/'"]),
    ("regoperator", ["'+(int4,int4)'"]),
    ("regrole", ["'postgres'"]),
    ("regnamespace", ["'public'"]),
    ("regcollation", ["'\"C\"'"]),
    ("regconfig", ["'english'"]),
    ("regdictionary", ["'simple'"]),
    ("regclass", ["'pg_type'", "0", "999999"]),
    ("aclitem", ["'postgres=arwdDxt/postgres'", "'=r/postgres'"]),
    ("varchar", ["repeat('é', 70)"]),
    ("name", ["repeat('é', 31)"]),
    ("bpchar", ["'a   '"]),
    ("char(1)", ["''"]),
    ("oid", ["0"]),
    ("mood", ["'ok'"]),
    ("odd", ["''", "' '", "E'\\n'", "'a,b'", "'{}'", "'\"'", "E'\\\\'", "'NULL'", "'ünï'"]),
    ("odd_domain", ["''", "'NULL'"]),
    ("outer_pair", ["ROW(ROW(1,'x,\"y\"')::pair, ARRAY[ROW(2,NULL)::pair,NULL], '', NULL)",
                    "ROW(NULL,NULL,NULL,NULL)", "NULL",
                    "ROW(ROW(NULL,NULL)::pair,'{}','a','k=>\"v w\"')"]),
    ("pair_domain", ["ROW(1,'a')"]),
    ("shrunk", ["ROW(1,3)"]),
    ("words", ["'[a,b]'", "'[\"a,\\\"\",)'", "'empty'"]),
    ("words_multi", ["'{[a,b],(c,d)}'"]),
    ("cube", ["'(1,2),(3,4)'", "'(1e-300)'", "'(NaN,-0)'", "'(0.1)'"]),
    ("seg", ["'1.0..2.00'", "'~5.0'", "'1e10'", "'<1 .. >20'", "'.. 6'", "'5.0(+-)0.3'"]),
    ("ltree", ["'a.b.c'", "''"]), ("lquery", ["'*.a|b{1,2}'"]), ("ltxtquery", ["'a & !b*'"]),
    ("isbn13", ["'978-0-393-04002-9'", "'0-11-000533-3!'"]),
    ("issn", ["'1436-4522'"]),
    ("upc", ["'220356483481'"]),
    ("ean13", ["'0220356483481'"]),
    ("int[]", ["'{}'", "'[0:0]={1}'", "'[-2147483648:-2147483647]={1,2}'", "'{{{1}}}'"]),
    ("hstore", ["'\"\"=>\"\", \"a\"=>NULL, \"b\"=>\"NULL\"'"]),
    ("lo", ["'5'"]),
]


def arrays_of(kind, values):
    """All values in a row, an empty one, two dimensions, and these with other lower bounds."""
    row = ", ".join(f"(({v})::{kind})" for v in values)
    first = f"(({values[0]})::{kind})"
    square = f"ARRAY[[NULL, {first}], [{first}, NULL]]::{kind}[]"
    return [f"ARRAY[{row}, NULL]", "'{}'", square,
            f"('[2:3][-1:0]=' || ({square})::text)::{kind}[]"]


ZOO += [(f"{kind}[]", arrays_of(kind, values)) for kind, values in ZOO
        if not kind.endswith(("[]", "2vector", "oidvector", "ints"))]

TYPES = """
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION cube; CREATE EXTENSION seg;
CREATE EXTENSION ltree; CREATE EXTENSION isn; CREATE EXTENSION lo;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "complicated"');
CREATE TYPE odd AS ENUM ('', ' ', E'\\n', 'a,b', '{}', '"', E'\\\\', 'NULL', 'ünï');
CREATE DOMAIN odd_domain AS odd CHECK (VALUE <> ' ');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN ints AS int[];
CREATE DOMAIN tree AS hstore;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE outer_pair AS (p pair, ps pair[], "odd ""name" text, h hstore);
CREATE DOMAIN pair_domain AS pair CHECK ((VALUE).a > 0);
CREATE TYPE shrunk AS (a int, gone text, b int);
ALTER TYPE shrunk DROP ATTRIBUTE gone;
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE TYPE words AS RANGE (subtype = text, collation = "C", multirange_type_name = words_multi);
"""
