/* Promise: columns of the destination follow those of the source: what is added, renamed, dropped
 * or changed there is planned, runs, and leaves nothing to be planned again; what would lose or
 * guess a value is left to the operator. */
#include "tests/unit/diff_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TABLE "CREATE TABLE t.a (id int PRIMARY KEY, c int, d text);"
#define ROWS "INSERT INTO t.a SELECT i, i, i::text FROM generate_series(1, 5) i;"
#define ALTER "ALTER TABLE `t`.`a` "
#define ONLY "ALTER TABLE ONLY `t`.`a` "

static const struct diff_case added[] = {
    {.name = "nothing has changed", .before = TABLE, .plan = NO_PLAN},
    {.name = "added without a default",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD \"E \"\"x\" int; ALTER TABLE t.a ADD f varchar(5) COLLATE \"C\"",
     .plan = "r " ALTER "ADD COLUMN `E ``x` integer\n"
             "r " ALTER "ADD COLUMN `f` character varying(5) COLLATE pg_catalog.`C`\n",
     .check = "SELECT count(*) FROM t.a WHERE \"E \"\"x\" IS NULL AND f IS NULL",
     .answer = "5"},
    {.name = "added with a constant default",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int NOT NULL DEFAULT 5",
     .plan = "r " ALTER "ADD COLUMN `e` integer DEFAULT 5 NOT NULL\n",
     .check = "SELECT sum(e) FROM t.a",
     .answer = "25"},
    /* Rows have the default of then. */
    {.name = "default changed since it was added",
     .before = TABLE ROWS,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int NOT NULL DEFAULT 5; ALTER TABLE t.a ALTER e SET DEFAULT 7;"
              "ALTER TABLE t.a ADD f text DEFAULT 'it''s'; ALTER TABLE t.a ALTER f DROP DEFAULT;"
              "ALTER TABLE t.a ADD g int; ALTER TABLE t.a ALTER g SET DEFAULT 3",
     .plan = "r " ALTER "ADD COLUMN `e` integer DEFAULT '5'::integer NOT NULL\n"
             "r " ALTER "ADD COLUMN `f` text DEFAULT 'it''s'::text\n"
             "r " ALTER "ADD COLUMN `g` integer\n"
             "rl " ONLY "ALTER COLUMN `e` SET DEFAULT 7\n"
             "rl " ONLY "ALTER COLUMN `f` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `g` SET DEFAULT 3\n",
     .same_rows = true},
    {.name = "values of every kind that stand beside a column",
     .before =
         TABLE ROWS "CREATE TYPE t.m AS ENUM ('a', 'b c'); CREATE DOMAIN t.d AS int DEFAULT 3;"
                    "CREATE TYPE t.p AS (a int, b text)",
     .rows = ROWS "CREATE TYPE t.m AS ENUM ('a', 'b c'); CREATE DOMAIN t.d AS int DEFAULT 3;"
                  "CREATE TYPE t.p AS (a int, b text)",
     .after = "ALTER TABLE t.a ADD e int[] DEFAULT '{1,NULL,3}', ADD f box DEFAULT '(1,1),(0,0)',"
              " ADD g t.m DEFAULT 'b c', ADD h t.d DEFAULT 8, ADD i t.d, ADD j t.p DEFAULT"
              " '(1,\"x,y\")', ADD k bytea DEFAULT '\\x00ff', ADD l json DEFAULT '{\"a\": [1]}',"
              " ADD m text[] DEFAULT ARRAY['a,b', '\"c\"'], ADD n float8 DEFAULT 0.1;"
              "ALTER TABLE t.a ALTER e DROP DEFAULT, ALTER f DROP DEFAULT, ALTER g DROP DEFAULT,"
              " ALTER h DROP DEFAULT, ALTER j DROP DEFAULT, ALTER k DROP DEFAULT, ALTER l DROP"
              " DEFAULT, ALTER m DROP DEFAULT, ALTER n DROP DEFAULT",
     .plan = "r " ALTER "ADD COLUMN `e` integer[] DEFAULT '{1,NULL,3}'::integer[]\n"
             "r " ALTER "ADD COLUMN `f` box DEFAULT '(1,1),(0,0)'::box\n"
             "r " ALTER "ADD COLUMN `g` t.m DEFAULT 'b c'::t.m\n"
             "r " ALTER "ADD COLUMN `h` t.d DEFAULT '8'::t.d\n"
             "r " ALTER "ADD COLUMN `i` t.d DEFAULT '3'::t.d\n"
             "r " ALTER "ADD COLUMN `j` t.p DEFAULT '(1,`x,y`)'::t.p\n"
             "r " ALTER "ADD COLUMN `k` bytea DEFAULT  E'\\\\x00ff'::bytea\n"
             "r " ALTER "ADD COLUMN `l` json DEFAULT '{`a`: [1]}'::json\n"
             "r " ALTER "ADD COLUMN `m` text[] DEFAULT  E'{`a,b`,`\\\\`c\\\\``}'::text[]\n"
             "r " ALTER "ADD COLUMN `n` double precision DEFAULT '0.1'::double precision\n"
             "rl " ONLY "ALTER COLUMN `e` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `f` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `g` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `h` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `i` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `j` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `k` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `l` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `m` DROP DEFAULT\n"
             "rl " ONLY "ALTER COLUMN `n` DROP DEFAULT\n",
     .same_rows = true},
    /* The rows have the time of then, and not that of the synchronisation. */
    {.name = "added with the time of then",
     .before = TABLE ROWS,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD at timestamptz NOT NULL DEFAULT '2001-02-03 04:05:06+00';"
              "ALTER TABLE t.a ALTER at SET DEFAULT now()",
     .plan = "r " ALTER "ADD COLUMN `at` timestamp with time zone DEFAULT '2001-02-03 04:05:06+00'"
             "::timestamp with time zone NOT NULL\n"
             "rl " ONLY "ALTER COLUMN `at` SET DEFAULT now()\n",
     .same_rows = true},
    {.name = "added with a default for each row",
     .before = TABLE ROWS,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e float8 DEFAULT random(); ALTER TABLE t.a ADD f serial;"
              "ALTER TABLE t.a ADD g int GENERATED ALWAYS AS IDENTITY; ALTER TABLE t.a ADD h int",
     .plan = "r CREATE SEQUENCE `t`.`a_f_seq` AS integer START WITH 1 INCREMENT BY 1 MINVALUE 1 "
             "MAXVALUE 2147483647 CACHE 1\n"
             "mc " ALTER "ADD COLUMN `e` double precision\n"
             "mc " ALTER "ADD COLUMN `f` integer\n"
             "mc " ALTER "ADD COLUMN `g` integer\n"
             "r " ALTER "ADD COLUMN `h` integer\n"
             "ro SELECT pg_catalog.setval('`t`.`a_f_seq`'::pg_catalog.regclass, 5, true)\n",
     .allowed = {"table t.a", "column t.a", "sequence t.a_g_seq"}},
    {.name = "added with a default for each row that there is not",
     .before = TABLE,
     .after = "ALTER TABLE t.a ADD e float8 DEFAULT random(); ALTER TABLE t.a ADD f serial;"
              "ALTER TABLE t.a ADD g int GENERATED ALWAYS AS IDENTITY",
     .plan = "r CREATE SEQUENCE `t`.`a_f_seq` AS integer START WITH 1 INCREMENT BY 1 MINVALUE 1 "
             "MAXVALUE 2147483647 CACHE 1\n"
             "r " ALTER "ADD COLUMN `e` double precision\n"
             "r " ALTER "ADD COLUMN `f` integer\n"
             "r " ALTER "ADD COLUMN `g` integer\n"
             "rl " ONLY "ALTER COLUMN `e` SET DEFAULT random()\n"
             "rl " ALTER "ALTER COLUMN `f` SET NOT NULL\n"
             "rl " ONLY "ALTER COLUMN `f` SET DEFAULT nextval('t.a_f_seq'::regclass)\n"
             "rl " ALTER "ALTER COLUMN `g` SET NOT NULL\n"
             "rl " ALTER
             "ALTER COLUMN `g` ADD GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME `t`.`a_g_seq` "
             "START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1)\n"
             "rol SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('`t`.`a`', "
             "'g')::pg_catalog.regclass, 1, false)\n"
             "ro SELECT pg_catalog.setval('`t`.`a_f_seq`'::pg_catalog.regclass, 1, false)\n"
             "ro ALTER SEQUENCE `t`.`a_f_seq` OWNED BY `t`.`a`.`f`\n"},
    {.name = "default for each row after the fact",
     .before = TABLE ROWS,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e float8; ALTER TABLE t.a ALTER e SET DEFAULT random();"
              "INSERT INTO t.a VALUES (6)",
     .plan = "r " ALTER "ADD COLUMN `e` double precision\n"
             "rl " ONLY "ALTER COLUMN `e` SET DEFAULT random()\n",
     .check = "SELECT count(*) FROM t.a WHERE e IS NULL",
     .answer = "5"},
    {.name = "the source was rewritten since: its rows say it",
     .before = TABLE ROWS,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int DEFAULT 5, ADD f json, ADD g json DEFAULT '[1]';"
              "CLUSTER t.a USING a_pkey; ALTER TABLE t.a SET WITHOUT CLUSTER",
     .plan = "r " ALTER "ADD COLUMN `e` integer DEFAULT 5\n"
             "r " ALTER "ADD COLUMN `f` json\n"
             "r " ALTER "ADD COLUMN `g` json DEFAULT '[1]'::json\n",
     .same_rows = true},
    {.name = "the source was rewritten since: its rows say nothing",
     .before = TABLE ROWS,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int DEFAULT 5, ADD f int; UPDATE t.a SET e = 1, f = 2 WHERE"
              " id = 1; CLUSTER t.a USING a_pkey; ALTER TABLE t.a SET WITHOUT CLUSTER",
     .plan = "mc " ALTER "ADD COLUMN `e` integer\n"
             "mc " ALTER "ADD COLUMN `f` integer\n",
     .allowed = {"column t.a e", "column t.a f"}},
    {.name = "NOT NULL without a default",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int NOT NULL",
     .plan = "r " ALTER "ADD COLUMN `e` integer\n"
             "m " ALTER "ALTER COLUMN `e` SET NOT NULL\n",
     .allowed = {"column t.a e"}},
    {.name = "NOT NULL without a default, no rows",
     .before = TABLE,
     .after = "ALTER TABLE t.a ADD e int NOT NULL",
     .plan = "r " ALTER "ADD COLUMN `e` integer\n"
             "rl " ALTER "ALTER COLUMN `e` SET NOT NULL\n"},
    {.name = "no book",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int DEFAULT 4",
     .plan = "r " ALTER "ADD COLUMN `e` integer DEFAULT 4\n",
     .no_book = true},
    {.name = "generated",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a ADD e int GENERATED ALWAYS AS (c * 2) STORED NOT NULL",
     .plan = "r " ALTER "ADD COLUMN `e` integer GENERATED ALWAYS AS ((c * 2)) STORED NOT NULL\n",
     .check = "SELECT sum(e) FROM t.a",
     .answer = "30"},
    {.name = "generated by a function that is not there",
     .before = TABLE "CREATE FUNCTION t.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
     .after = "ALTER TABLE t.a ADD e int GENERATED ALWAYS AS (t.f(c)) STORED, ADD f int DEFAULT"
              " t.f(1)",
     .plan = "n " ALTER "ADD COLUMN `e` integer GENERATED ALWAYS AS (t.f(c)) STORED\n"
             "r " ALTER "ADD COLUMN `f` integer\n"
             "n " ONLY "ALTER COLUMN `f` SET DEFAULT t.f(1)\n",
     .allowed = {"column t.a e", "column t.a f"}},
    {.name = "generated by a function that is there",
     .before = TABLE "CREATE FUNCTION t.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
     .rows = "CREATE FUNCTION t.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
     .after = "ALTER TABLE t.a ADD e int GENERATED ALWAYS AS (t.f(c)) STORED, ADD f int DEFAULT"
              " t.f(1)",
     .plan = "ro " ALTER "ADD COLUMN `e` integer GENERATED ALWAYS AS (t.f(c)) STORED\n"
             "r " ALTER "ADD COLUMN `f` integer\n"
             "rol " ONLY "ALTER COLUMN `f` SET DEFAULT t.f(1)\n"},
};

static const struct diff_case renamed[] = {
    {.name = "renamed",
     .before = TABLE "CREATE INDEX i ON t.a (c) WHERE c > 0; ALTER TABLE t.a ADD CHECK (c <> 9);",
     .rows = ROWS,
     .after = "ALTER TABLE t.a RENAME c TO \"C\"; ALTER TABLE t.a RENAME id TO no",
     .plan = "rp " ALTER "RENAME COLUMN `id` TO `no`\n"
             "rp " ALTER "RENAME COLUMN `c` TO `C`\n",
     .check = "SELECT sum(\"C\") FROM t.a",
     .answer = "15"},
    {.name = "renamed one after the other",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a RENAME d TO e; ALTER TABLE t.a RENAME c TO d; ALTER TABLE t.a ADD c"
              " int",
     .plan = "rp " ALTER "RENAME COLUMN `d` TO `e`\n"
             "rp " ALTER "RENAME COLUMN `c` TO `d`\n"
             "rp " ALTER "ADD COLUMN `c` integer\n",
     .check = "SELECT concat(sum(d), min(e)) FROM t.a WHERE c IS NULL",
     .answer = "151"},
    {.name = "renamed in a circle",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a RENAME d TO e; ALTER TABLE t.a RENAME c TO d; ALTER TABLE t.a RENAME"
              " e TO c",
     .plan = "rp " ALTER "RENAME COLUMN `c` TO `bunny_rename_2`\n"
             "rp " ALTER "RENAME COLUMN `d` TO `c`\n"
             "rp " ALTER "RENAME COLUMN `bunny_rename_2` TO `d`\n",
     .check = "SELECT concat(sum(d), min(c)) FROM t.a",
     .answer = "151"},
    {.name = "renamed in a circle of three, and into it",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a RENAME d TO e; ALTER TABLE t.a RENAME c TO d; ALTER TABLE t.a RENAME"
              " id TO c; ALTER TABLE t.a RENAME e TO id",
     .plan = "rp " ALTER "RENAME COLUMN `id` TO `bunny_rename_1`\n"
             "rp " ALTER "RENAME COLUMN `d` TO `id`\n"
             "rp " ALTER "RENAME COLUMN `c` TO `d`\n"
             "rp " ALTER "RENAME COLUMN `bunny_rename_1` TO `c`\n",
     .check = "SELECT concat(sum(d), min(id)) FROM t.a",
     .answer = "151"},
    {.name = "renamed to the name of a dropped one",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a DROP d; ALTER TABLE t.a RENAME c TO d",
     .plan = "mc -\n",
     .allowed = {"column t.a"}},
    {.name = "renamed, no book",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a RENAME c TO e",
     .plan = "m " ALTER "RENAME COLUMN `c` TO `e`\n",
     .allowed = {"column t.a"},
     .no_book = true},
    {.name = "renamed here by hand",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a RENAME c TO e",
     .dest_after = "ALTER TABLE t.a RENAME c TO e",
     .plan = NO_PLAN},
    {.name = "dropped and added again",
     .before = TABLE,
     .rows = ROWS,
     .after = "ALTER TABLE t.a DROP c; ALTER TABLE t.a ADD c int",
     .plan = "mc -\n",
     .allowed = {"column t.a"}},
    {.name = "an excluded one renamed",
     .before = TABLE,
     .map = "t.a-d",
     .after = "ALTER TABLE t.a RENAME d TO secret",
     .plan = "m " ALTER "ADD COLUMN `secret` text\n",
     .allowed = {"column t.a"}},
    {.name = "an excluded one renamed, no book",
     .before = TABLE,
     .map = "t.a-d",
     .after = "ALTER TABLE t.a RENAME d TO secret",
     .plan = "m " ALTER "ADD COLUMN `secret` text\n",
     .allowed = {"column t.a"},
     .no_book = true},
};

static const struct diff_case dropped[] = {
    {.name = "dropped",
     .before = "CREATE TABLE t.a (id int PRIMARY KEY, c int NOT NULL, d text NOT NULL DEFAULT 'x',"
               " e serial, f int GENERATED ALWAYS AS IDENTITY);",
     .rows = "INSERT INTO t.a VALUES (1, 2)",
     .after = "ALTER TABLE t.a DROP c, DROP d, DROP e, DROP f",
     .plan = "r " ALTER "ALTER COLUMN `c` DROP NOT NULL\n"
             "r " ALTER "ALTER COLUMN `d` DROP NOT NULL\n"
             "r " ALTER "ALTER COLUMN `e` DROP NOT NULL\n"
             "m " ALTER "DROP COLUMN `c`\n"
             "m " ALTER "DROP COLUMN `d`\n"
             "m " ALTER "DROP COLUMN `e`\n"
             "r " ALTER "ALTER COLUMN `f` DROP IDENTITY\n"
             "r " ALTER "ALTER COLUMN `f` DROP NOT NULL\n"
             "m " ALTER "DROP COLUMN `f`\n",
     .allowed = {"column t.a", "sequence t.a_e_seq"},
     .check = "INSERT INTO t.a (id, d, f) VALUES (2, NULL, NULL) RETURNING id",
     .answer = "2"},
    /* Their values go by the order of columns, and what is kept is in the way. */
    {.name = "dropped from rows that are values",
     .before = TABLE "CREATE DOMAIN t.d AS t.a; CREATE TABLE t.b (id int PRIMARY KEY, v t.d[]);",
     .after = "ALTER TABLE t.a DROP c; ALTER TABLE t.a ADD e int",
     .plan = "r " ALTER "ADD COLUMN `e` integer\n"
             "m " ALTER "DROP COLUMN `c`\n"
             "mc -\n",
     .allowed = {"column t.a"}},
    {.name = "renamed and added in rows that are values",
     .before = TABLE "CREATE TABLE t.b (id int PRIMARY KEY, v t.a);",
     .after = "ALTER TABLE t.a RENAME c TO f; ALTER TABLE t.a ADD e int",
     .plan = "rp " ALTER "RENAME COLUMN `c` TO `f`\n"
             "rp " ALTER "ADD COLUMN `e` integer\n"},
    {.name = "the operator's own",
     .before = TABLE,
     .dest_after = "ALTER TABLE t.a ADD mine int NOT NULL, ADD too int DEFAULT 3",
     .plan = "r " ALTER "ALTER COLUMN `mine` DROP NOT NULL\n",
     .allowed = {"column t.a"}},
    {.name = "the operator's own, no book",
     .before = TABLE,
     .dest_after = "ALTER TABLE t.a ADD mine int",
     .plan = "n -\n",
     .again = NO_PLAN,
     .allowed = {"column t.a"},
     .no_book = true},
    {.name = "dropped here",
     .before = TABLE,
     .rows = ROWS,
     .dest_after = "ALTER TABLE t.a DROP c",
     .plan = "mc " ALTER "ADD COLUMN `c` integer\n",
     .allowed = {"column t.a"}},
};

static const struct diff_case changed[] = {
    {.name = "wider",
     .before =
         "CREATE TABLE t.a (id int PRIMARY KEY, c int DEFAULT 0 CHECK (c > 5), d varchar(5)"
         " DEFAULT 'x' CHECK (d IN ('x', 'y')), e numeric(5,2), f int[], g int GENERATED"
         " ALWAYS AS (c + 1) STORED); CREATE INDEX i ON t.a (c) WHERE c > 3; CREATE INDEX j ON"
         " t.a (g)",
     .rows = "INSERT INTO t.a VALUES (1, 7, 'x', 1.25, '{3}')",
     .after =
         "DROP INDEX t.j; ALTER TABLE t.a DROP g; ALTER TABLE t.a ALTER id TYPE bigint, ALTER c"
         " TYPE bigint, ALTER d TYPE text, ALTER e TYPE numeric(9,3), ALTER f TYPE bigint[];"
         " ALTER TABLE t.a ADD g int GENERATED ALWAYS AS (c + 1) STORED; CREATE INDEX j ON"
         " t.a (g)",
     .plan = "r " ALTER "ALTER COLUMN `id` TYPE bigint\n"
             "r " ALTER "DROP COLUMN `g`\n"
             "r " ALTER "ALTER COLUMN `c` TYPE bigint\n"
             "r " ALTER "ADD COLUMN `g` integer GENERATED ALWAYS AS ((c + 1)) STORED\n"
             "r " ALTER "ALTER COLUMN `d` TYPE text\n"
             "r " ALTER "ALTER COLUMN `e` TYPE numeric(9,3)\n"
             "r " ALTER "ALTER COLUMN `f` TYPE bigint[]\n"
             "r CREATE INDEX `j` ON `t`.`a` USING btree (g)\n",
     .check = "SELECT x::text FROM t.a x",
     .answer = "(1,7,x,1.250,{3},8)"},
    {.name = "another collation",
     .before = TABLE "CREATE COLLATION t.c (LC_COLLATE = 'C', LC_CTYPE = 'C')",
     .rows = ROWS,
     .after = "ALTER TABLE t.a ALTER d TYPE text COLLATE t.c",
     .plan = "r CREATE COLLATION `t`.`c` (LC_COLLATE = 'C', LC_CTYPE = 'C')\n"
             "r " ALTER "ALTER COLUMN `d` TYPE text COLLATE t.c\n"},
    {.name = "the type's own collation again",
     .before = "CREATE TABLE t.a (id int, d text COLLATE \"C\")",
     .after = "ALTER TABLE t.a ALTER d TYPE text",
     .plan = "r " ALTER "ALTER COLUMN `d` TYPE text\n"},
    {.name = "narrower, or something else",
     .before = "CREATE TABLE t.a (c bigint, d text, e int)",
     .after = "ALTER TABLE t.a ALTER c TYPE int, ALTER d TYPE varchar(9), ALTER e TYPE date USING"
              " now()",
     .plan =
         "mc " ALTER "ALTER COLUMN `c` TYPE integer USING `c`::integer\n"
         "mc " ALTER "ALTER COLUMN `d` TYPE character varying(9) USING `d`::character varying(9)\n"
         "mc " ALTER "ALTER COLUMN `e` TYPE date USING `e`::date\n",
     .allowed = {"column t.a"}},
    {.name = "made wider by the operator",
     .before = "CREATE TABLE t.a (c int)",
     .dest_after = "ALTER TABLE t.a ALTER c TYPE bigint",
     .plan = "m " ALTER "ALTER COLUMN `c` TYPE integer USING `c`::integer\n",
     .allowed = {"column t.a"}},
    {.name = "wider where a view is in the way",
     .before = TABLE,
     .after = "ALTER TABLE t.a ALTER c TYPE bigint",
     .dest_after = "CREATE VIEW t.v AS SELECT c FROM t.a",
     .plan = "m " ALTER "ALTER COLUMN `c` TYPE bigint\n",
     .allowed = {"column t."}},
    {.name = "NOT NULL that goes, beside a key of odd names",
     .before = "CREATE TABLE t.\"a\" (\".\" int, t int, a int, c int NOT NULL, PRIMARY KEY (\".\", "
               "t, a))",
     .after = "ALTER TABLE t.a ALTER c DROP NOT NULL",
     .plan = "r " ALTER "ALTER COLUMN `c` DROP NOT NULL\n"},
    {.name = "NOT NULL added and dropped",
     .before = "CREATE TABLE t.a (c int, d int NOT NULL, e int)",
     .rows = "INSERT INTO t.a VALUES (1, 2, NULL)",
     .after = "ALTER TABLE t.a ALTER c SET NOT NULL, ALTER d DROP NOT NULL, ALTER e SET NOT NULL",
     .plan = "r " ALTER "ALTER COLUMN `d` DROP NOT NULL\n"
             "rl " ALTER "ALTER COLUMN `c` SET NOT NULL\n"
             "m " ALTER "ALTER COLUMN `e` SET NOT NULL\n",
     .allowed = {"column t.a e"}},
    {.name = "NOT NULL of a key that the operator's own foreign key holds",
     .before = "CREATE TABLE t.a (id int PRIMARY KEY, c int NOT NULL)",
     .after = "ALTER TABLE t.a DROP CONSTRAINT a_pkey, ALTER id DROP NOT NULL, ALTER c DROP NOT"
              " NULL",
     .dest_after = "CREATE SCHEMA u; CREATE TABLE u.own (x int REFERENCES t.a)",
     .plan = "m " ALTER "DROP CONSTRAINT `a_pkey`\n"
             "r " ALTER "ALTER COLUMN `c` DROP NOT NULL\n",
     .allowed = {"t.a", "own"}},
    {.name = "other defaults",
     .before = "CREATE TABLE t.a (c int DEFAULT 1, d int, e varchar DEFAULT 'x', f int DEFAULT 4);"
               "CREATE SEQUENCE t.s",
     .after = "ALTER TABLE t.a ALTER c SET DEFAULT 2, ALTER d SET DEFAULT nextval('t.s'), ALTER e"
              " SET DEFAULT 'y'::text, ALTER f DROP DEFAULT",
     .plan = "r CREATE SEQUENCE `t`.`s` AS bigint START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE "
             "9223372036854775807 CACHE 1\n"
             "rl " ONLY "ALTER COLUMN `c` SET DEFAULT 2\n"
             "rl " ONLY "ALTER COLUMN `d` SET DEFAULT nextval('t.s'::regclass)\n"
             "rl " ONLY "ALTER COLUMN `e` SET DEFAULT 'y'::text\n"
             "rl " ONLY "ALTER COLUMN `f` DROP DEFAULT\n"
             "ro SELECT pg_catalog.setval('`t`.`s`'::pg_catalog.regclass, 1, false)\n"},
    {.name = "serial, then identity",
     .before = "CREATE TABLE t.a (c serial, d int)",
     .after = "ALTER TABLE t.a ALTER c DROP DEFAULT; DROP SEQUENCE t.a_c_seq; ALTER TABLE t.a ALTER"
              " c ADD GENERATED ALWAYS AS IDENTITY (START WITH 40); INSERT INTO t.a (d) VALUES (1)",
     .plan = "rl " ONLY "ALTER COLUMN `c` DROP DEFAULT\n"
             "rl " ALTER "ALTER COLUMN `c` ADD GENERATED BY DEFAULT AS IDENTITY (START WITH 40 "
             "INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1)\n"
             "rol SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('`t`.`a`', "
             "'c')::pg_catalog.regclass, 40, true)\n",
     .allowed = {"sequence t.a_c_seq", "column t.a c"},
     .check = "SELECT nextval(pg_get_serial_sequence('t.a', 'c'))",
     .answer = "41"},
    {.name = "identity, then not",
     .before = "CREATE TABLE t.a (c int GENERATED ALWAYS AS IDENTITY, d int GENERATED BY DEFAULT AS"
               " IDENTITY (START WITH 3), e int GENERATED BY DEFAULT AS IDENTITY)",
     .after = "ALTER TABLE t.a ALTER c DROP IDENTITY, ALTER d SET INCREMENT BY 5 SET START WITH 6;"
              "ALTER TABLE t.a ALTER c SET DEFAULT 1, ALTER c DROP NOT NULL",
     .dest_after = "ALTER TABLE t.a ALTER e SET GENERATED ALWAYS",
     .plan = "r " ALTER "ALTER COLUMN `c` DROP IDENTITY\n"
             "rl " ONLY "ALTER COLUMN `c` SET DEFAULT 1\n"
             "r " ALTER "ALTER COLUMN `c` DROP NOT NULL\n"
             "r " ALTER "ALTER COLUMN `e` SET GENERATED BY DEFAULT\n"
             "ro ALTER SEQUENCE `t`.`a_d_seq` START WITH 6 INCREMENT BY 5 MINVALUE 1 MAXVALUE "
             "2147483647 CACHE 1 NO CYCLE\n"},
    {.name = "generated, and not",
     .before = "CREATE TABLE t.a (a int, c int GENERATED ALWAYS AS (a + 1) STORED, d int GENERATED"
               " ALWAYS AS (a + 2) STORED CHECK (d > 0), e int); CREATE INDEX i ON t.a (d)",
     .rows = "INSERT INTO t.a (a) VALUES (1)",
     .after = "ALTER TABLE t.a ALTER c DROP EXPRESSION; ALTER TABLE t.a DROP d; ALTER TABLE t.a"
              " DROP e; ALTER TABLE t.a ADD d int GENERATED ALWAYS AS (a + 3) STORED CHECK (d > 0),"
              " ADD e int GENERATED ALWAYS AS (a) STORED; CREATE INDEX i ON t.a (d)",
     .plan = "rp " ALTER "ALTER COLUMN `c` DROP EXPRESSION\n"
             "rp " ALTER "DROP COLUMN `d`\n"
             "rp " ALTER "ADD COLUMN `d` integer GENERATED ALWAYS AS ((a + 3)) STORED\n"
             "m -\n"
             "rp CREATE INDEX `i` ON `t`.`a` USING btree (d)\n"
             "rlp " ALTER "ADD CONSTRAINT `a_d_check` CHECK ((d > 0)) NOT VALID\n"
             "rolp " ALTER "VALIDATE CONSTRAINT `a_d_check`\n",
     .allowed = {"column t.a e", "column t.a d"},
     .check = "SELECT concat(c, d) FROM t.a",
     .answer = "24"},
    {.name = "storage, statistics, comments",
     .before = "CREATE TABLE t.a (c text, d text, e text); COMMENT ON COLUMN t.a.d IS 'd';"
               "COMMENT ON TABLE t.a IS 'a'; ALTER TABLE t.a ALTER d SET STORAGE EXTERNAL",
     .after = "ALTER TABLE t.a ALTER c SET STORAGE MAIN, ALTER d SET STORAGE EXTENDED, ALTER e SET"
              " STATISTICS 7, ADD f text; ALTER TABLE t.a ALTER f SET STORAGE PLAIN;"
              "COMMENT ON COLUMN t.a.d IS NULL; COMMENT ON TABLE t.a IS 'it''s'; COMMENT ON COLUMN"
              " t.a.f IS 'f'",
     .dest_after = "COMMENT ON COLUMN t.a.e IS 'the operator''s own'",
     .plan = "r " ALTER "ADD COLUMN `f` text\n"
             "ro " ONLY "ALTER COLUMN `c` SET STORAGE MAIN\n"
             "ro " ONLY "ALTER COLUMN `d` SET STORAGE EXTENDED\n"
             "ro " ONLY "ALTER COLUMN `e` SET STATISTICS 7\n"
             "ro " ONLY "ALTER COLUMN `f` SET STORAGE PLAIN\n"
             "ro COMMENT ON TABLE `t`.`a` IS 'it''s'\n"
             "ro COMMENT ON COLUMN `t`.`a`.`d` IS NULL\n"
             "ro COMMENT ON COLUMN `t`.`a`.`f` IS 'f'\n",
     .allowed = {"column t.a e"}},
};

#define PARTS                                                                          \
    "CREATE TABLE t.a (id int NOT NULL, k int NOT NULL, c int) PARTITION BY LIST (k);" \
    "CREATE TABLE t.a1 PARTITION OF t.a FOR VALUES IN (1);"                            \
    "CREATE TABLE t.a2 PARTITION OF t.a FOR VALUES IN (2) PARTITION BY LIST (k);"      \
    "CREATE TABLE t.a21 PARTITION OF t.a2 DEFAULT;"
#define PART_ROWS "INSERT INTO t.a SELECT i, 1 + i % 2, i FROM generate_series(1, 4) i;"
#define CHILDREN "CREATE TABLE t.a (id int, c int); CREATE TABLE t.b (d int) INHERITS (t.a);"
#define CHILD_ROWS "INSERT INTO t.a VALUES (1, 1); INSERT INTO t.b VALUES (2, 2);"

static const struct diff_case families[] = {
    {.name = "columns of partitioned tables",
     .before = PARTS PART_ROWS,
     .rows = PART_ROWS,
     .after = "ALTER TABLE t.a RENAME c TO cc; ALTER TABLE t.a ADD e int NOT NULL DEFAULT 3, ADD f"
              " text; ALTER TABLE t.a ALTER e SET DEFAULT 4; ALTER TABLE t.a1 ALTER f SET DEFAULT"
              " 'x'; ALTER TABLE t.a21 ALTER cc SET NOT NULL",
     .plan = "rp " ALTER "RENAME COLUMN `c` TO `cc`\n"
             "rp " ALTER "ADD COLUMN `e` integer DEFAULT '3'::integer NOT NULL\n"
             "rp " ALTER "ADD COLUMN `f` text\n"
             "rlp " ONLY "ALTER COLUMN `e` SET DEFAULT 4\n"
             "rlp ALTER TABLE ONLY `t`.`a1` ALTER COLUMN `e` SET DEFAULT 4\n"
             "rlp ALTER TABLE ONLY `t`.`a1` ALTER COLUMN `f` SET DEFAULT 'x'::text\n"
             "rlp ALTER TABLE ONLY `t`.`a2` ALTER COLUMN `e` SET DEFAULT 4\n"
             "rlp ALTER TABLE `t`.`a21` ALTER COLUMN `cc` SET NOT NULL\n"
             "rlp ALTER TABLE ONLY `t`.`a21` ALTER COLUMN `e` SET DEFAULT 4\n",
     .same_rows = true},
    {.name = "columns of partitioned tables: renamed in a circle",
     .before = PARTS "CREATE TABLE t.b (x int, y int); CREATE TABLE t.c () INHERITS (t.b);",
     .after =
         "ALTER TABLE t.a RENAME c TO e; ALTER TABLE t.a RENAME id TO c; ALTER TABLE t.a RENAME"
         " e TO id; ALTER TABLE t.b RENAME x TO z; ALTER TABLE t.b RENAME y TO x; ALTER TABLE"
         " t.b RENAME z TO y",
     .plan = "rp " ALTER "RENAME COLUMN `id` TO `bunny_rename_1`\n"
             "rp " ALTER "RENAME COLUMN `c` TO `id`\n"
             "rp " ALTER "RENAME COLUMN `bunny_rename_1` TO `c`\n"
             "rp ALTER TABLE `t`.`b` RENAME COLUMN `x` TO `bunny_rename_1`\n"
             "rp ALTER TABLE `t`.`b` RENAME COLUMN `y` TO `x`\n"
             "rp ALTER TABLE `t`.`b` RENAME COLUMN `bunny_rename_1` TO `y`\n"},
    {.name = "columns that children inherit: rows of their own",
     .before = CHILDREN CHILD_ROWS,
     .rows = CHILD_ROWS,
     .after = "ALTER TABLE t.a ADD e float8 DEFAULT random()",
     .plan = "mc " ALTER "ADD COLUMN `e` double precision\n"
             "mc -\n",
     .allowed = {"column t.a", "column t.b"}},
    {.name = "columns of partitioned tables: types, constraints, generated ones",
     .before = PARTS PART_ROWS,
     .rows = PART_ROWS,
     .after = "ALTER TABLE t.a ALTER id DROP NOT NULL, ALTER c SET NOT NULL, ALTER c SET DEFAULT 5;"
              "ALTER TABLE t.a1 ALTER c SET DEFAULT 6; ALTER TABLE t.a ADD g int GENERATED ALWAYS"
              " AS (c) STORED, ALTER id TYPE bigint; ALTER TABLE t.a1 ALTER id SET NOT NULL",
     .plan = "r " ALTER "ALTER COLUMN `id` DROP NOT NULL\n"
             "r " ALTER "ADD COLUMN `g` integer GENERATED ALWAYS AS (c) STORED\n"
             "r " ALTER "ALTER COLUMN `id` TYPE bigint\n"
             "rl " ALTER "ALTER COLUMN `c` SET NOT NULL\n"
             "rl " ONLY "ALTER COLUMN `c` SET DEFAULT 5\n"
             "rl ALTER TABLE `t`.`a1` ALTER COLUMN `id` SET NOT NULL\n"
             "rl ALTER TABLE ONLY `t`.`a1` ALTER COLUMN `c` SET DEFAULT 6\n"
             "rl ALTER TABLE ONLY `t`.`a2` ALTER COLUMN `c` SET DEFAULT 5\n"
             "rl ALTER TABLE ONLY `t`.`a21` ALTER COLUMN `c` SET DEFAULT 5\n",
     .same_rows = true},
    {.name = "columns of partitioned tables: dropped",
     .before = PARTS PART_ROWS,
     .rows = PART_ROWS,
     .after = "ALTER TABLE t.a DROP id",
     .plan = "r " ALTER "ALTER COLUMN `id` DROP NOT NULL\n"
             "m " ALTER "DROP COLUMN `id`\n",
     .allowed = {"column t.a"}},
    {.name = "columns of partitioned tables: dropped, a partition without the default",
     .before = "CREATE TABLE t.a (k int, c int NOT NULL DEFAULT 1) PARTITION BY LIST (k); CREATE"
               " TABLE t.a1 PARTITION OF t.a FOR VALUES IN (1); CREATE TABLE t.a2 (k int, c int NOT"
               " NULL); ALTER TABLE t.a ATTACH PARTITION t.a2 FOR VALUES IN (2)",
     .after = "ALTER TABLE t.a DROP c",
     .plan = "r " ALTER "ALTER COLUMN `c` DROP NOT NULL\n"
             "m " ALTER "DROP COLUMN `c`\n",
     .allowed = {"column t.a"}},
    {.name = "a partition that another table has now, and what it may hold there",
     .before =
         PARTS "CREATE TABLE t.b (id int, k int NOT NULL, c int) PARTITION BY LIST (k);" PART_ROWS,
     .rows = PART_ROWS,
     .after =
         "ALTER TABLE t.a DETACH PARTITION t.a1; ALTER TABLE t.a1 ALTER id DROP NOT NULL; ALTER"
         " TABLE t.b ATTACH PARTITION t.a1 FOR VALUES IN (1)",
     .plan = "m " ALTER "DETACH PARTITION `t`.`a1`\n"
             "m ALTER TABLE `t`.`a1` ALTER COLUMN `id` DROP NOT NULL\n"
             "m ALTER TABLE `t`.`b` ATTACH PARTITION `t`.`a1` FOR VALUES IN (1)\n",
     .allowed = {"t.a1"}},
    {.name = "columns of children",
     .before = CHILDREN CHILD_ROWS,
     .rows = CHILD_ROWS,
     .after = "ALTER TABLE t.a RENAME c TO cc; ALTER TABLE t.a ADD e int NOT NULL DEFAULT 3; ALTER"
              " TABLE t.b ADD f int; ALTER TABLE t.b ALTER e SET DEFAULT 4; ALTER TABLE t.a ALTER"
              " id TYPE bigint",
     .plan = "rp " ALTER "RENAME COLUMN `c` TO `cc`\n"
             "rp " ALTER "ADD COLUMN `e` integer DEFAULT 3 NOT NULL\n"
             "rp " ALTER "ALTER COLUMN `id` TYPE bigint\n"
             "rp ALTER TABLE `t`.`b` ADD COLUMN `f` integer\n"
             "rlp ALTER TABLE ONLY `t`.`b` ALTER COLUMN `e` SET DEFAULT 4\n",
     .same_rows = true},
    {.name = "columns of children: dropped, and not to be NULL",
     .before = CHILDREN CHILD_ROWS,
     .rows = CHILD_ROWS,
     .after = "ALTER TABLE t.a DROP id; ALTER TABLE t.a ADD e int; UPDATE t.a SET e = 1; ALTER"
              " TABLE t.a ALTER e SET NOT NULL",
     .plan = "r " ALTER "ADD COLUMN `e` integer\n"
             "m " ALTER "ALTER COLUMN `e` SET NOT NULL\n"
             "m " ALTER "DROP COLUMN `id`\n",
     .allowed = {"column t."}},
    {.name = "a partition that holds other values",
     .before = PARTS "CREATE TABLE t.a3 (id int NOT NULL, k int NOT NULL, c int);" PART_ROWS,
     .rows = PART_ROWS,
     .after = "ALTER TABLE t.a3 ADD e int DEFAULT 2; INSERT INTO t.a3 VALUES (9, 3, 1); ALTER TABLE"
              " t.a ADD e int DEFAULT 1",
     .plan = "r " ALTER "ADD COLUMN `e` integer DEFAULT 1\n"
             "r ALTER TABLE `t`.`a3` ADD COLUMN `e` integer DEFAULT 2\n"},
    {.name = "partitions whose rows do not agree",
     .before = PARTS PART_ROWS,
     .rows = PART_ROWS,
     .after = "ALTER TABLE t.a DETACH PARTITION t.a1; ALTER TABLE t.a1 ADD e int DEFAULT 2; ALTER"
              " TABLE t.a ADD e int DEFAULT 1; ALTER TABLE t.a ATTACH PARTITION t.a1 FOR VALUES IN"
              " (1)",
     .plan = "mc " ALTER "ADD COLUMN `e` integer\n",
     .allowed = {"column t."}},
};

static void run_case(void **state)
{
    diff_check(*state);
}

static size_t put(struct CMUnitTest *tests, size_t at, const struct diff_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tests[at + i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = run_case, .initial_state = (void *)&cases[i]};
    return at + n;
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(added) + COUNT_OF(renamed) + COUNT_OF(dropped) +
                            COUNT_OF(changed) + COUNT_OF(families)];
    size_t n = put(tests, 0, added, COUNT_OF(added));
    n = put(tests, n, renamed, COUNT_OF(renamed));
    n = put(tests, n, dropped, COUNT_OF(dropped));
    n = put(tests, n, changed, COUNT_OF(changed));
    (void)put(tests, n, families, COUNT_OF(families));
    return cmocka_run_group_tests(tests, diff_start, diff_stop);
}
