/* Promise: indexes, constraints, types, sequences and whole tables of the destination follow those
 * of the source; the operator's own stay; what loses rows or cannot be done is left to the
 * operator. */
#include "tests/unit/diff_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TABLE "CREATE TABLE t.a (id int PRIMARY KEY, c int, d varchar(9));"
#define ALTER "ALTER TABLE `t`.`a` "
#define ONLY "ALTER TABLE ONLY `t`.`a` "

static const struct diff_case indexes[] = {
    {.name = "indexes added",
     .before = TABLE,
     .after =
         "CREATE INDEX i ON t.a (c DESC) WHERE d <> 'x'; CREATE UNIQUE INDEX u ON t.a (lower(d));"
         "ALTER TABLE t.a ADD CONSTRAINT uc UNIQUE (c, d) DEFERRABLE;"
         "ALTER TABLE t.a ADD CONSTRAINT ex EXCLUDE (c WITH =)",
     .plan = "rl " ALTER "ADD CONSTRAINT `ex` EXCLUDE USING btree (c WITH =)\n"
             "rl " ALTER "ADD CONSTRAINT `uc` UNIQUE (c, d) DEFERRABLE\n"
             "rl CREATE UNIQUE INDEX `u` ON `t`.`a` USING btree (lower((d)::text))\n"
             "r CREATE INDEX `i` ON `t`.`a` USING btree (c DESC) WHERE ((d)::text <> 'x'::text)\n"},
    {.name = "indexes dropped",
     .before = TABLE "CREATE INDEX i ON t.a (c); CREATE UNIQUE INDEX u ON t.a (d);"
                     "ALTER TABLE t.a ADD CONSTRAINT uc UNIQUE (c, d)",
     .after = "DROP INDEX t.i, t.u; ALTER TABLE t.a DROP CONSTRAINT uc, DROP CONSTRAINT a_pkey;"
              " ALTER TABLE t.a ALTER id DROP NOT NULL",
     .dest_after = "CREATE INDEX own ON t.a (d, c); CREATE UNIQUE INDEX own_u ON t.a (d, c, id)",
     .plan = "r DROP INDEX `t`.`i`\n"
             "r DROP INDEX `t`.`u`\n"
             "r " ALTER "DROP CONSTRAINT `uc`\n"
             "r " ALTER "DROP CONSTRAINT `a_pkey`\n"
             "r " ALTER "ALTER COLUMN `id` DROP NOT NULL\n",
     .allowed = {"own"}},
    {.name = "indexes that only the destination has, no book",
     .before = TABLE,
     .dest_after = "CREATE INDEX own ON t.a (d, c); CREATE UNIQUE INDEX own_u ON t.a (d, c, id)",
     .plan = "m DROP INDEX `t`.`own_u`\n",
     .again = NO_PLAN,
     .allowed = {"own"},
     .no_book = true},
    {.name = "indexes changed",
     .before = TABLE "CREATE INDEX i ON t.a (c); CREATE UNIQUE INDEX u ON t.a (d);"
                     "ALTER TABLE t.a ADD CONSTRAINT uc UNIQUE (c, d);"
                     "CREATE TABLE t.b (a int REFERENCES t.a)",
     .after = "DROP INDEX t.i, t.u; ALTER TABLE t.a DROP CONSTRAINT uc, DROP CONSTRAINT a_pkey"
              " CASCADE; ALTER TABLE t.a ADD PRIMARY KEY (id, c), ADD CONSTRAINT uc UNIQUE (id);"
              "CREATE INDEX i ON t.a (c, d); CREATE UNIQUE INDEX u ON t.a (d) WHERE d <> '';"
              "ALTER TABLE t.b ADD FOREIGN KEY (a) REFERENCES t.a (id)",
     .plan = "r ALTER TABLE `t`.`b` DROP CONSTRAINT `b_a_fkey`\n"
             "r " ALTER "DROP CONSTRAINT `a_pkey`\n"
             "r " ALTER "DROP CONSTRAINT `uc`\n"
             "r DROP INDEX `t`.`u`\n"
             "r DROP INDEX `t`.`i`\n"
             "rl " ALTER "ALTER COLUMN `c` SET NOT NULL\n"
             "rl " ALTER "ADD CONSTRAINT `a_pkey` PRIMARY KEY (id, c)\n"
             "rl " ALTER "ADD CONSTRAINT `uc` UNIQUE (id)\n"
             "rl CREATE UNIQUE INDEX `u` ON `t`.`a` USING btree (d) WHERE ((d)::text <> ''::text)\n"
             "r CREATE INDEX `i` ON `t`.`a` USING btree (c, d)\n"
             "rl ALTER TABLE `t`.`b` ADD CONSTRAINT `b_a_fkey` FOREIGN KEY (a) REFERENCES "
             "`t`.`a`(id) DEFERRABLE INITIALLY DEFERRED NOT VALID\n"
             "rol ALTER TABLE `t`.`b` VALIDATE CONSTRAINT `b_a_fkey`\n"},
    {.name = "primary key changed under the operator's own foreign key",
     .before = TABLE,
     .after = "ALTER TABLE t.a DROP CONSTRAINT a_pkey; ALTER TABLE t.a ADD PRIMARY KEY (c)",
     .dest_after = "CREATE SCHEMA u; CREATE TABLE u.own (a int REFERENCES t.a)",
     .plan = "m " ALTER "DROP CONSTRAINT `a_pkey`\n"
             "rl " ALTER "ALTER COLUMN `c` SET NOT NULL\n",
     .allowed = {"t.a", "u.own"}},
    {.name = "the operator's own primary key",
     .before = TABLE,
     .dest_after = "ALTER TABLE t.a DROP CONSTRAINT a_pkey, ADD CONSTRAINT own PRIMARY KEY (c)",
     .plan = "m " ALTER "ALTER COLUMN `c` DROP NOT NULL\n"
             "m " ALTER "ADD CONSTRAINT `a_pkey` PRIMARY KEY (id)\n",
     .allowed = {"t.a"}},
    {.name = "indexes renamed",
     .before = TABLE "CREATE INDEX i ON t.a (c); ALTER TABLE t.a ADD CONSTRAINT uc UNIQUE (c, d)",
     .after = "ALTER INDEX t.i RENAME TO \"I\"; ALTER TABLE t.a RENAME CONSTRAINT uc TO uc2; ALTER"
              " TABLE t.a RENAME CONSTRAINT a_pkey TO key",
     .plan = "r " ALTER "RENAME CONSTRAINT `a_pkey` TO `key`\n"
             "r " ALTER "RENAME CONSTRAINT `uc` TO `uc2`\n"
             "r ALTER INDEX `t`.`i` RENAME TO `I`\n"},
    {.name = "the operator has made an index before",
     .before = TABLE,
     .after = "CREATE INDEX i ON t.a (c)",
     .dest_after = "CREATE INDEX own ON t.a (c)",
     .plan = NO_PLAN,
     .allowed = {"index t.a"}},
    {.name = "the name is taken",
     .before = TABLE,
     .after = "CREATE INDEX i ON t.a (c)",
     .dest_after = "CREATE TABLE t.i ()",
     .plan = "m CREATE INDEX `i` ON `t`.`a` USING btree (c)\n",
     .allowed = {"index t.a", "table t.i"}},
    {.name = "an index by a function that is not there",
     .before = TABLE "CREATE FUNCTION t.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
     .after = "CREATE INDEX i ON t.a (t.f(c)); ALTER TABLE t.a ADD CONSTRAINT k CHECK (t.f(c) > 0)",
     .plan = "n CREATE INDEX `i` ON `t`.`a` USING btree (t.f(c))\n"
             "n " ALTER "ADD CONSTRAINT `k` CHECK ((t.f(c) > 0))\n",
     .allowed = {"index t.a", "constraint t.a"}},
    {.name = "an index by a function that is there",
     .before = TABLE "CREATE FUNCTION t.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
     .after = "CREATE INDEX i ON t.a (t.f(c)); ALTER TABLE t.a ADD CONSTRAINT k CHECK (t.f(c) > 0)",
     .dest_after = "CREATE FUNCTION t.f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'",
     .plan = "ro CREATE INDEX `i` ON `t`.`a` USING btree (t.f(c))\n"
             "rol " ALTER "ADD CONSTRAINT `k` CHECK ((t.f(c) > 0)) NOT VALID\n"
             "rol " ALTER "VALIDATE CONSTRAINT `k`\n"},
    {.name = "indexes of partitioned tables",
     .before = "CREATE TABLE t.a (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
               "CREATE TABLE t.a1 PARTITION OF t.a FOR VALUES IN (1); CREATE INDEX i ON t.a (k);"
               "CREATE INDEX j ON t.a1 (id)",
     .after = "DROP INDEX t.i, t.j; CREATE INDEX n ON t.a (id); CREATE INDEX m ON t.a1 (k) WHERE k"
              " > 4; ALTER TABLE t.a DROP CONSTRAINT a_pkey; ALTER TABLE t.a ADD UNIQUE (k)",
     .plan = "r DROP INDEX `t`.`i`\n"
             "r " ALTER "DROP CONSTRAINT `a_pkey`\n"
             "r DROP INDEX `t`.`j`\n"
             "rl " ALTER "ADD CONSTRAINT `a_k_key` UNIQUE (k)\n"
             "r CREATE INDEX `n` ON `t`.`a` USING btree (id)\n"
             "r CREATE INDEX `m` ON `t`.`a1` USING btree (k) WHERE (k > 4)\n"},
    {.name = "replica identity",
     .before =
         TABLE "CREATE TABLE t.b (i int NOT NULL); CREATE UNIQUE INDEX bi ON t.b (i); ALTER"
               " TABLE t.b REPLICA IDENTITY USING INDEX bi; CREATE TABLE t.e (i int NOT NULL)",
     .after = "ALTER TABLE t.a REPLICA IDENTITY FULL; ALTER TABLE t.b REPLICA IDENTITY DEFAULT;"
              "CREATE UNIQUE INDEX ei ON t.e (i); ALTER TABLE t.e REPLICA IDENTITY USING INDEX ei",
     .plan = "rl CREATE UNIQUE INDEX `ei` ON `t`.`e` USING btree (i)\n"
             "ro " ONLY "REPLICA IDENTITY FULL\n"
             "ro ALTER TABLE ONLY `t`.`b` REPLICA IDENTITY DEFAULT\n"
             "rol ALTER TABLE ONLY `t`.`e` REPLICA IDENTITY USING INDEX `ei`\n"},
};

static const struct diff_case constraints[] = {
    {.name = "checks",
     .before =
         TABLE "ALTER TABLE t.a ADD CONSTRAINT k CHECK (c > 0), ADD CONSTRAINT l CHECK (c > 1),"
               " ADD CONSTRAINT same CHECK (d IN ('a', 'b')), ADD CONSTRAINT v CHECK (c > 2)"
               " NOT VALID",
     .rows = "INSERT INTO t.a VALUES (1, 4, 'a')",
     .after =
         "ALTER TABLE t.a DROP CONSTRAINT k, DROP CONSTRAINT l, ADD CONSTRAINT l CHECK (c > 2),"
         " ADD CONSTRAINT m CHECK (c > 3), ADD CONSTRAINT n CHECK (c > 9) NOT VALID, VALIDATE"
         " CONSTRAINT v",
     .dest_after = "ALTER TABLE t.a ADD CONSTRAINT own CHECK (c < 100)",
     .plan = "r " ALTER "DROP CONSTRAINT `k`\n"
             "r " ALTER "DROP CONSTRAINT `l`\n"
             "rl " ALTER "ADD CONSTRAINT `l` CHECK ((c > 2)) NOT VALID\n"
             "rl " ALTER "ADD CONSTRAINT `m` CHECK ((c > 3)) NOT VALID\n"
             "rl " ALTER "ADD CONSTRAINT `n` CHECK ((c > 9)) NOT VALID\n"
             "rol " ALTER "VALIDATE CONSTRAINT `l`\n"
             "rol " ALTER "VALIDATE CONSTRAINT `m`\n"
             "rol " ALTER "VALIDATE CONSTRAINT `v`\n",
     .allowed = {"own", "constraint t.a same"}},
    {.name = "a check that rows here do not meet yet",
     .before = TABLE,
     .rows = "INSERT INTO t.a VALUES (1, 4, 'a')",
     .after = "ALTER TABLE t.a ADD CONSTRAINT m CHECK (c > 30)",
     .plan = "rl " ALTER "ADD CONSTRAINT `m` CHECK ((c > 30)) NOT VALID\n"
             "rol " ALTER "VALIDATE CONSTRAINT `m`\n",
     .again = "nolx " ALTER "VALIDATE CONSTRAINT `m`\n",
     .allowed = {"constraint t.a m"}},
    {.name = "a check that only the destination has, no book",
     .before = TABLE,
     .dest_after = "ALTER TABLE t.a ADD CONSTRAINT own CHECK (c < 100)",
     .plan = "m " ALTER "DROP CONSTRAINT `own`\n",
     .again = NO_PLAN,
     .allowed = {"own"},
     .no_book = true},
    {.name = "checks of partitions and children",
     .before =
         "CREATE TABLE t.a (id int, k int, CONSTRAINT x CHECK (id > 0), CONSTRAINT y CHECK (id"
         " > 1)) PARTITION BY LIST (k); CREATE TABLE t.a1 PARTITION OF t.a FOR VALUES IN (1);"
         "CREATE TABLE t.m (i int, CONSTRAINT x CHECK (i > 0), CONSTRAINT y CHECK (i > 1));"
         "CREATE TABLE t.n () INHERITS (t.m)",
     .after =
         "ALTER TABLE t.a DROP CONSTRAINT x, DROP CONSTRAINT y, ADD CONSTRAINT y CHECK (id > 2),"
         " ADD CONSTRAINT z CHECK (k > 0); ALTER TABLE t.a1 ADD CONSTRAINT own CHECK (k < 9);"
         "ALTER TABLE t.m DROP CONSTRAINT x, DROP CONSTRAINT y, ADD CONSTRAINT y CHECK (i > 2),"
         " ADD CONSTRAINT z CHECK (i < 9), ADD CONSTRAINT here CHECK (i < 8) NO INHERIT",
     .plan = "r " ALTER "DROP CONSTRAINT `x`\n"
             "r " ALTER "DROP CONSTRAINT `y`\n"
             "r ALTER TABLE `t`.`m` DROP CONSTRAINT `x`\n"
             "r ALTER TABLE `t`.`m` DROP CONSTRAINT `y`\n"
             "rl " ALTER "ADD CONSTRAINT `y` CHECK ((id > 2)) NOT VALID\n"
             "rl " ALTER "ADD CONSTRAINT `z` CHECK ((k > 0)) NOT VALID\n"
             "rl ALTER TABLE `t`.`m` ADD CONSTRAINT `here` CHECK ((i < 8)) NO INHERIT NOT VALID\n"
             "rl ALTER TABLE `t`.`m` ADD CONSTRAINT `y` CHECK ((i > 2)) NOT VALID\n"
             "rl ALTER TABLE `t`.`m` ADD CONSTRAINT `z` CHECK ((i < 9)) NOT VALID\n"
             "rl ALTER TABLE `t`.`a1` ADD CONSTRAINT `own` CHECK ((k < 9)) NOT VALID\n"
             "rol " ALTER "VALIDATE CONSTRAINT `y`\n"
             "rol " ALTER "VALIDATE CONSTRAINT `z`\n"
             "rol ALTER TABLE `t`.`m` VALIDATE CONSTRAINT `here`\n"
             "rol ALTER TABLE `t`.`m` VALIDATE CONSTRAINT `y`\n"
             "rol ALTER TABLE `t`.`m` VALIDATE CONSTRAINT `z`\n"
             "rol ALTER TABLE `t`.`a1` VALIDATE CONSTRAINT `own`\n"},
    {.name = "foreign keys",
     .before =
         TABLE "CREATE TABLE t.b (id int PRIMARY KEY, a int CONSTRAINT x REFERENCES t.a, e int"
               " CONSTRAINT y REFERENCES t.a ON DELETE CASCADE, f int)",
     .rows = "INSERT INTO t.a VALUES (1); INSERT INTO t.b VALUES (1, 1, 1, 1)",
     .after =
         "ALTER TABLE t.b DROP CONSTRAINT x, DROP CONSTRAINT y, ADD CONSTRAINT y FOREIGN KEY (e)"
         " REFERENCES t.a ON DELETE SET NULL, ADD CONSTRAINT z FOREIGN KEY (f) REFERENCES t.a"
         " ON DELETE SET NULL (f), ADD CONSTRAINT w FOREIGN KEY (id) REFERENCES t.b NOT VALID",
     .dest_after = "CREATE SCHEMA u; CREATE TABLE u.own (a int REFERENCES t.a)",
     .plan = "r ALTER TABLE `t`.`b` DROP CONSTRAINT `x`\n"
             "r ALTER TABLE `t`.`b` DROP CONSTRAINT `y`\n"
             "rl ALTER TABLE `t`.`b` ADD CONSTRAINT `w` FOREIGN KEY (id) REFERENCES `t`.`b`(id) "
             "DEFERRABLE INITIALLY DEFERRED NOT VALID\n"
             "rl ALTER TABLE `t`.`b` ADD CONSTRAINT `y` FOREIGN KEY (e) REFERENCES `t`.`a`(id) ON "
             "DELETE SET NULL DEFERRABLE INITIALLY DEFERRED NOT VALID\n"
             "rl ALTER TABLE `t`.`b` ADD CONSTRAINT `z` FOREIGN KEY (f) REFERENCES `t`.`a`(id) ON "
             "DELETE SET NULL (f) DEFERRABLE INITIALLY DEFERRED NOT VALID\n"
             "rol ALTER TABLE `t`.`b` VALIDATE CONSTRAINT `y`\n"
             "rol ALTER TABLE `t`.`b` VALIDATE CONSTRAINT `z`\n",
     .allowed = {"u.own"}},
    {.name = "foreign keys stay when columns are renamed",
     .before = TABLE "CREATE TABLE t.b (id int PRIMARY KEY, a int CONSTRAINT x REFERENCES t.a)",
     .after = "ALTER TABLE t.b RENAME a TO aa; ALTER TABLE t.a RENAME id TO no",
     .plan = "rp ALTER TABLE `t`.`a` RENAME COLUMN `id` TO `no`\n"
             "rp ALTER TABLE `t`.`b` RENAME COLUMN `a` TO `aa`\n"},
    {.name = "foreign keys that only the destination has, no book",
     .before = TABLE "CREATE TABLE t.b (id int PRIMARY KEY, a int)",
     .dest_after = "ALTER TABLE t.b ADD CONSTRAINT own FOREIGN KEY (a) REFERENCES t.a",
     .plan = "m ALTER TABLE `t`.`b` DROP CONSTRAINT `own`\n",
     .again = NO_PLAN,
     .allowed = {"own"},
     .no_book = true},
};

#define MOOD "CREATE TYPE t.mood AS ENUM ('a', 'b', 'c'); CREATE TABLE t.a (m t.mood);"

static const struct diff_case types[] = {
    {.name = "labels added",
     .before = MOOD,
     .after = "ALTER TYPE t.mood ADD VALUE 'z'; ALTER TYPE t.mood ADD VALUE '0' BEFORE 'a'; ALTER"
              " TYPE t.mood ADD VALUE 'b''1' AFTER 'b'; ALTER TYPE t.mood ADD VALUE 'b2' AFTER"
              " 'b''1'",
     .plan = "rf ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS '0' BEFORE 'a'\n"
             "rf ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS 'b''1' AFTER 'b'\n"
             "rf ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS 'b2' AFTER 'b''1'\n"
             "rf ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS 'z' AFTER 'c'\n"},
    {.name = "labels renamed",
     .before = MOOD,
     .rows = "INSERT INTO t.a VALUES ('b')",
     .after =
         "ALTER TYPE t.mood RENAME VALUE 'b' TO 'B'; ALTER TYPE t.mood ADD VALUE 'n' AFTER 'B'",
     .plan = "rfp ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS 'n' AFTER 'b'\n"
             "rp ALTER TYPE `t`.`mood` RENAME VALUE 'b' TO 'B'\n",
     .check = "SELECT m FROM t.a",
     .answer = "B"},
    {.name = "labels renamed, and the old name given again",
     .before = MOOD,
     .rows = "INSERT INTO t.a VALUES ('b')",
     .after = "ALTER TYPE t.mood RENAME VALUE 'b' TO 'x'; ALTER TYPE t.mood ADD VALUE 'b'",
     .plan = "rf ALTER TYPE `t`.`mood` RENAME VALUE 'b' TO 'x'\n"
             "rf ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS 'b' AFTER 'c'\n"
             "mc -\n",
     .again = "",
     .allowed = {"copy table t.a"},
     .check = "SELECT m FROM t.a",
     .answer = "x"},
    {.name = "labels that exchange their names",
     .before = MOOD "; CREATE DOMAIN t.d AS t.mood; CREATE TABLE t.e (d t.d[])",
     .rows = "INSERT INTO t.a VALUES ('b')",
     .after =
         "ALTER TYPE t.mood RENAME VALUE 'b' TO 'x'; ALTER TYPE t.mood RENAME VALUE 'c' TO 'b';"
         " ALTER TYPE t.mood RENAME VALUE 'x' TO 'c'",
     .plan = "r ALTER TYPE `t`.`mood` RENAME VALUE 'b' TO 'bunnydb 2'\n"
             "r ALTER TYPE `t`.`mood` RENAME VALUE 'c' TO 'b'\n"
             "r ALTER TYPE `t`.`mood` RENAME VALUE 'bunnydb 2' TO 'c'\n"
             "mc -\n"
             "mc -\n",
     .again = "",
     .allowed = {"copy table t.a", "copy table t.e"},
     .check = "SELECT m FROM t.a",
     .answer = "c"},
    {.name = "labels renamed, no book",
     .before = MOOD,
     .after = "ALTER TYPE t.mood RENAME VALUE 'b' TO 'B'; ALTER TYPE t.mood ADD VALUE 'z'",
     .plan = "m -\n",
     .allowed = {"type t.mood"},
     .no_book = true},
    {.name = "one label renamed, no book",
     .before = MOOD,
     .after = "ALTER TYPE t.mood RENAME VALUE 'b' TO 'B'",
     .plan = "m ALTER TYPE `t`.`mood` RENAME VALUE 'b' TO 'B'\n",
     .allowed = {"type t.mood"},
     .no_book = true},
    {.name = "labels of the operator's own, and in another order",
     .before = MOOD,
     .dest_after = "ALTER TYPE t.mood ADD VALUE 'own' BEFORE 'b'",
     .plan = NO_PLAN,
     .allowed = {"type t.mood"}},
    {.name = "a new label is the default of a new column, and in a check",
     .before = MOOD,
     .rows = "INSERT INTO t.a VALUES ('b')",
     .after = "ALTER TYPE t.mood ADD VALUE 'new';; ALTER TABLE t.a ADD n t.mood NOT NULL DEFAULT"
              " 'new'; ALTER TABLE t.a ADD CONSTRAINT k CHECK (m <> 'new')",
     .plan = "rf ALTER TYPE `t`.`mood` ADD VALUE IF NOT EXISTS 'new' AFTER 'c'\n"
             "r " ALTER "ADD COLUMN `n` t.mood DEFAULT 'new'::t.mood NOT NULL\n"
             "rl " ALTER "ADD CONSTRAINT `k` CHECK ((m <> 'new'::t.mood)) NOT VALID\n"
             "rol " ALTER "VALIDATE CONSTRAINT `k`\n",
     .check = "SELECT n FROM t.a",
     .answer = "new"},
    {.name = "new types for a new column",
     .before = TABLE,
     .after = "CREATE DOMAIN t.d AS int CHECK (VALUE > 0); CREATE TYPE t.e AS ENUM ('x'); CREATE"
              " TYPE t.c AS (d t.d, e t.e[]); CREATE TYPE t.r AS RANGE (SUBTYPE = int); ALTER TABLE"
              " t.a ADD x t.c, ADD y t.r DEFAULT '[1,2)', ADD z t.d",
     .plan = "r CREATE TYPE t.e AS ENUM ('x')\n"
             "r CREATE DOMAIN t.d AS integer CONSTRAINT d_check CHECK ((VALUE > 0))\n"
             "r CREATE TYPE t.c AS (d t.d, e t.e[])\n"
             "r CREATE TYPE t.r AS RANGE (SUBTYPE = integer)\n"
             "r " ALTER "ADD COLUMN `x` t.c\n"
             "r " ALTER "ADD COLUMN `y` t.r\n"
             "r " ALTER "ADD COLUMN `z` t.d DEFAULT NULL::t.d\n"
             "rl " ONLY "ALTER COLUMN `y` SET DEFAULT '[1,2)'::t.r\n"
             "rl " ONLY "ALTER COLUMN `z` DROP DEFAULT\n"},
    {.name = "domains",
     .before = "CREATE DOMAIN t.d AS int DEFAULT 1 NOT NULL CONSTRAINT k CHECK (VALUE > 0)"
               " CONSTRAINT l CHECK (VALUE > 1); CREATE DOMAIN t.e AS varchar(5) CONSTRAINT m CHECK"
               " (VALUE IN ('a', 'b')); CREATE TABLE t.a (d t.d, e t.e)",
     .rows = "INSERT INTO t.a VALUES (7, 'a')",
     .after =
         "ALTER DOMAIN t.d SET DEFAULT 5; ALTER DOMAIN t.d DROP NOT NULL; ALTER DOMAIN t.d DROP"
         " CONSTRAINT k; ALTER DOMAIN t.d DROP CONSTRAINT l; ALTER DOMAIN t.d ADD CONSTRAINT l"
         " CHECK (VALUE > 2); ALTER DOMAIN t.e ADD CONSTRAINT n CHECK (VALUE <> 'c'); ALTER"
         " DOMAIN t.e SET NOT NULL",
     .plan = "rol ALTER DOMAIN `t`.`d` SET DEFAULT 5\n"
             "r ALTER DOMAIN `t`.`d` DROP NOT NULL\n"
             "m ALTER DOMAIN `t`.`e` SET NOT NULL\n"
             "r ALTER DOMAIN `t`.`d` DROP CONSTRAINT `k`\n"
             "r ALTER DOMAIN `t`.`d` DROP CONSTRAINT `l`\n"
             "rl ALTER DOMAIN `t`.`d` ADD CONSTRAINT `l` CHECK ((VALUE > 2)) NOT VALID\n"
             "rl ALTER DOMAIN `t`.`e` ADD CONSTRAINT `n` CHECK (((VALUE)::text <> 'c'::text)) NOT "
             "VALID\n"
             "rol ALTER DOMAIN `t`.`d` VALIDATE CONSTRAINT `l`\n"
             "rol ALTER DOMAIN `t`.`e` VALIDATE CONSTRAINT `n`\n",
     .allowed = {"type t.e", "constraint t.e m"}},
    {.name = "composites",
     .before = "CREATE TYPE t.c AS (a int, b text); CREATE TABLE t.a (c t.c)",
     .rows = "INSERT INTO t.a VALUES ('(1,x)')",
     .after = "ALTER TYPE t.c ADD ATTRIBUTE d int",
     .plan = "rp ALTER TYPE `t`.`c` ADD ATTRIBUTE `d` integer\n"},
    {.name = "an attribute that takes the place of another",
     .before = "CREATE TYPE t.c AS (a int, b int); CREATE TABLE t.a (c t.c)",
     .rows = "INSERT INTO t.a VALUES ('(1,2)')",
     .after = "ALTER TYPE t.c DROP ATTRIBUTE a; ALTER TYPE t.c ADD ATTRIBUTE a int;"
              " ALTER TYPE t.c RENAME ATTRIBUTE b TO x",
     .plan = "r ALTER TYPE `t`.`c` DROP ATTRIBUTE `a`\n"
             "r ALTER TYPE `t`.`c` RENAME ATTRIBUTE `b` TO `x`\n"
             "r ALTER TYPE `t`.`c` ADD ATTRIBUTE `a` integer\n"
             "mc -\n",
     .again = "",
     .allowed = {"copy table t.a"},
     .check = "SELECT c FROM t.a",
     .answer = "(2,)"},
    {.name = "attributes that exchange their names",
     .before = "CREATE TYPE t.c AS (a int, b int); CREATE TABLE t.a (c t.c)",
     .rows = "INSERT INTO t.a VALUES ('(1,2)')",
     .after = "ALTER TYPE t.c RENAME ATTRIBUTE a TO x; ALTER TYPE t.c RENAME ATTRIBUTE b TO a;"
              " ALTER TYPE t.c RENAME ATTRIBUTE x TO b",
     .plan = "r ALTER TYPE `t`.`c` RENAME ATTRIBUTE `a` TO `bunnydb 1`\n"
             "r ALTER TYPE `t`.`c` RENAME ATTRIBUTE `b` TO `a`\n"
             "r ALTER TYPE `t`.`c` RENAME ATTRIBUTE `bunnydb 1` TO `b`\n",
     .check = "SELECT (c).b FROM t.a",
     .answer = "1"},
    {.name = "attributes in another order",
     .before = "CREATE TABLE t.a (x int)",
     .after = "CREATE TYPE t.c AS (a int, b int); ALTER TABLE t.a ADD c t.c",
     .dest_after = "CREATE TYPE t.c AS (b int, a int)",
     .plan = "m -\n"
             "r " ALTER "ADD COLUMN `c` t.c\n",
     .allowed = {"t.c"}},
    {.name = "composites that lose something",
     .before = "CREATE TYPE t.c AS (a int, b text); CREATE TABLE t.a (c int)",
     .after = "DROP TABLE t.a; DROP TYPE t.c; CREATE TYPE t.c AS (a bigint, d int, e int); CREATE"
              " TABLE t.a (c t.c)",
     .dest_after = "CREATE TYPE t.c AS (a int, b text)",
     .plan = "m ALTER TYPE `t`.`c` ALTER ATTRIBUTE `a` TYPE bigint\n"
             "m ALTER TYPE `t`.`c` DROP ATTRIBUTE `b`\n"
             "m ALTER TYPE `t`.`c` ADD ATTRIBUTE `d` integer\n"
             "m ALTER TYPE `t`.`c` ADD ATTRIBUTE `e` integer\n"
             "mc " ALTER "ALTER COLUMN `c` TYPE t.c USING `c`::t.c\n"
             "mc -\n",
     .allowed = {"t.a", "t.c"}},
    {.name = "an index that not every partition has",
     .before = "CREATE TABLE t.p (i int, j int) PARTITION BY LIST (i); CREATE TABLE t.p1 PARTITION"
               " OF t.p FOR VALUES IN (1); CREATE TABLE t.p2 PARTITION OF t.p FOR VALUES IN (2)",
     .after = "CREATE INDEX pi ON ONLY t.p (j); CREATE INDEX p1i ON t.p1 (j); ALTER INDEX t.pi"
              " ATTACH PARTITION t.p1i; CREATE INDEX pk ON ONLY t.p (i, j)",
     .plan = "ro CREATE INDEX `pi` ON ONLY `t`.`p` USING btree (j); CREATE INDEX `p1i` ON `t`.`p1`"
             " USING btree (j); ALTER INDEX `t`.`pi` ATTACH PARTITION `t`.`p1i`\n"
             "r CREATE INDEX `pk` ON ONLY `t`.`p` USING btree (i, j)\n"},
    {.name = "an index that one more partition has",
     .before = "CREATE TABLE t.p (i int, j int) PARTITION BY LIST (i); CREATE TABLE t.p1 PARTITION"
               " OF t.p FOR VALUES IN (1); CREATE TABLE t.p2 PARTITION OF t.p FOR VALUES IN (2);"
               " CREATE TABLE t.p3 PARTITION OF t.p FOR VALUES IN (3);"
               " CREATE INDEX pi ON ONLY t.p (j); CREATE INDEX p1i ON t.p1 (j); ALTER INDEX t.pi"
               " ATTACH PARTITION t.p1i; CREATE INDEX p2i ON t.p2 (j)",
     .after = "ALTER INDEX t.pi ATTACH PARTITION t.p2i",
     .plan = "r DROP INDEX `t`.`pi`\n"
             "r DROP INDEX `t`.`p2i`\n"
             "ro CREATE INDEX `pi` ON ONLY `t`.`p` USING btree (j); CREATE INDEX `p1i` ON `t`.`p1`"
             " USING btree (j); CREATE INDEX `p2i` ON `t`.`p2` USING btree (j); ALTER INDEX"
             " `t`.`pi` ATTACH PARTITION `t`.`p1i`; ALTER INDEX `t`.`pi` ATTACH PARTITION"
             " `t`.`p2i`\n"},
    {.name = "types that are another kind",
     .before = "CREATE TABLE t.a (c int)",
     .after = "CREATE TYPE t.k AS ENUM ('a'); CREATE DOMAIN t.d AS int; CREATE TYPE t.r AS RANGE"
              " (SUBTYPE = int); CREATE TYPE t.o AS ENUM ('a', 'b'); ALTER TABLE t.a ADD k t.k, ADD"
              " d t.d, ADD r t.r, ADD o t.o",
     .dest_after = "CREATE DOMAIN t.k AS text; CREATE DOMAIN t.d AS text; CREATE TYPE t.r AS RANGE"
                   " (SUBTYPE = bigint); CREATE TYPE t.o AS ENUM ('b', 'a')",
     .plan = "m -\n"
             "m -\n"
             "m -\n"
             "m -\n"
             "r " ALTER "ADD COLUMN `k` t.k\n"
             "r " ALTER "ADD COLUMN `d` t.d DEFAULT NULL::t.d\n"
             "r " ALTER "ADD COLUMN `r` t.r\n"
             "r " ALTER "ADD COLUMN `o` t.o\n"
             "rl " ONLY "ALTER COLUMN `d` DROP DEFAULT\n",
     .allowed = {"t.k", "t.d", "t.r", "t.o"}},
};

static const struct diff_case tables[] = {
    {.name = "storage parameters",
     .before = "CREATE TABLE t.a (t text) WITH (fillfactor = 70, autovacuum_enabled = false)",
     .after = "ALTER TABLE t.a SET (fillfactor = 80, toast.autovacuum_enabled = false), RESET"
              " (autovacuum_enabled)",
     .dest_after = "ALTER TABLE t.a SET (autovacuum_vacuum_threshold = 7)",
     .plan = "ro " ONLY "SET (fillfactor='80')\n"
             "ro " ONLY "SET (toast.autovacuum_enabled='false')\n"
             "ro " ONLY "RESET (autovacuum_enabled)\n",
     .allowed = {"table t.a"}},
    {.name = "a new table",
     .before = TABLE,
     .map = "t.*",
     .dest_after = "DROP TABLE t.a",
     .after = "COMMENT ON TABLE t.a IS 'x'; CREATE INDEX i ON t.a (c); ALTER TABLE t.a ADD"
              " CONSTRAINT k CHECK (c > 0) NOT VALID, REPLICA IDENTITY FULL, ADD s serial, ADD i"
              " int GENERATED BY DEFAULT AS IDENTITY",
     .plan = "r CREATE SEQUENCE `t`.`a_s_seq` AS integer START WITH 1 INCREMENT BY 1 MINVALUE 1 "
             "MAXVALUE 2147483647 CACHE 1\n"
             "rc CREATE TABLE `t`.`a` (     `id` integer NOT NULL,     `c` integer,     `d` "
             "character varying(9),     `s` integer DEFAULT nextval('t.a_s_seq'::regclass) NOT "
             "NULL,     `i` integer GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME `t`.`a_i_seq` "
             "START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1) NOT NULL)\n"
             "ro " ONLY "REPLICA IDENTITY FULL\n"
             "ro COMMENT ON TABLE `t`.`a` IS 'x'\n"
             "r " ALTER "ADD CONSTRAINT `a_pkey` PRIMARY KEY (id)\n"
             "r CREATE INDEX `i` ON `t`.`a` USING btree (c)\n"
             "r " ALTER "ADD CONSTRAINT `k` CHECK ((c > 0)) NOT VALID\n"
             "ro SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence('`t`.`a`', "
             "'i')::pg_catalog.regclass, 1, false)\n"
             "ro SELECT pg_catalog.setval('`t`.`a_s_seq`'::pg_catalog.regclass, 1, false)\n"
             "ro ALTER SEQUENCE `t`.`a_s_seq` OWNED BY `t`.`a`.`s`\n"},
    {.name = "new partitions",
     .before = "CREATE TABLE t.a (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
               "CREATE TABLE t.a1 PARTITION OF t.a FOR VALUES IN (1)",
     .after = "ALTER TABLE t.a ADD c int DEFAULT 1, ADD CONSTRAINT p CHECK (c > 0); CREATE TABLE"
              " t.a2 PARTITION OF t.a FOR VALUES IN (2) PARTITION BY LIST (id); CREATE TABLE t.a21"
              " PARTITION OF t.a2 DEFAULT; CREATE INDEX own ON t.a21 (c)",
     .plan = "r " ALTER "ADD COLUMN `c` integer DEFAULT 1\n"
             "r CREATE TABLE `t`.`a2` (     `id` integer NOT NULL,     `k` integer NOT NULL,     "
             "`c` integer DEFAULT 1,     CONSTRAINT `p` CHECK ((c > 0))) PARTITION BY LIST (id)\n"
             "r " ONLY "ATTACH PARTITION `t`.`a2` FOR VALUES IN (2)\n"
             "r CREATE TABLE `t`.`a21` (     `id` integer NOT NULL,     `k` integer NOT NULL,     "
             "`c` integer DEFAULT 1,     CONSTRAINT `p` CHECK ((c > 0)))\n"
             "r ALTER TABLE ONLY `t`.`a2` ATTACH PARTITION `t`.`a21` DEFAULT\n"
             "r CREATE INDEX `own` ON `t`.`a21` USING btree (c)\n"
             "rl " ALTER "ADD CONSTRAINT `p` CHECK ((c > 0)) NOT VALID\n"
             "rol " ALTER "VALIDATE CONSTRAINT `p`\n"},
    /* What was in them before they were partitions is not in the stream. */
    {.name = "new partitions with rows",
     .before = "CREATE TABLE t.a (k int) PARTITION BY LIST (k)",
     .after =
         "CREATE TABLE t.b1 PARTITION OF t.a FOR VALUES IN (1);; INSERT INTO t.a VALUES (1);;"
         "CREATE TABLE t.b2 (k int);; INSERT INTO t.b2 VALUES (2);; ALTER TABLE t.a ATTACH"
         " PARTITION t.b2 FOR VALUES IN (2);;"
         "CREATE TABLE t.b3 (k int); INSERT INTO t.b3 VALUES (3); ALTER TABLE t.a ATTACH"
         " PARTITION t.b3 FOR VALUES IN (3);;"
         "CREATE TABLE t.b4 (k int);; ALTER TABLE t.a ATTACH PARTITION t.b4 FOR VALUES IN (4);;"
         "CREATE TABLE t.b5 (k int) PARTITION BY LIST (k);; CREATE TABLE t.b51 PARTITION OF"
         " t.b5 DEFAULT; INSERT INTO t.b5 VALUES (5);; ALTER TABLE t.a ATTACH PARTITION t.b5"
         " FOR VALUES IN (5)",
     .plan = "r CREATE TABLE `t`.`b1` (     `k` integer)\n"
             "r " ONLY "ATTACH PARTITION `t`.`b1` FOR VALUES IN (1)\n"
             "rc CREATE TABLE `t`.`b2` (     `k` integer)\n"
             "r " ONLY "ATTACH PARTITION `t`.`b2` FOR VALUES IN (2)\n"
             "rc CREATE TABLE `t`.`b3` (     `k` integer)\n"
             "r " ONLY "ATTACH PARTITION `t`.`b3` FOR VALUES IN (3)\n"
             "r CREATE TABLE `t`.`b4` (     `k` integer)\n"
             "r " ONLY "ATTACH PARTITION `t`.`b4` FOR VALUES IN (4)\n"
             "r CREATE TABLE `t`.`b5` (     `k` integer) PARTITION BY LIST (k)\n"
             "r " ONLY "ATTACH PARTITION `t`.`b5` FOR VALUES IN (5)\n"
             "rc CREATE TABLE `t`.`b51` (     `k` integer)\n"
             "r ALTER TABLE ONLY `t`.`b5` ATTACH PARTITION `t`.`b51` DEFAULT\n"},
    {.name = "partitions dropped and detached",
     .before = "CREATE TABLE t.a (id int, k int) PARTITION BY LIST (k); CREATE TABLE t.a1 PARTITION"
               " OF t.a FOR VALUES IN (1); CREATE TABLE t.a2 PARTITION OF t.a FOR VALUES IN (2);"
               "CREATE TABLE t.a3 PARTITION OF t.a FOR VALUES IN (3)",
     .after = "DROP TABLE t.a1; ALTER TABLE t.a DETACH PARTITION t.a2; ALTER TABLE t.a DETACH"
              " PARTITION t.a3; ALTER TABLE t.a ATTACH PARTITION t.a3 FOR VALUES IN (3, 4);"
              " CREATE TABLE t.a5 PARTITION OF t.a FOR VALUES IN (1, 2, 5)",
     .plan = "m " ALTER "DETACH PARTITION `t`.`a3`\n"
             "r " ALTER "DETACH PARTITION `t`.`a1`\n"
             "r " ALTER "DETACH PARTITION `t`.`a2`\n"
             "r CREATE TABLE `t`.`a5` (     `id` integer,     `k` integer)\n"
             "r " ONLY "ATTACH PARTITION `t`.`a5` FOR VALUES IN (1, 2, 5)\n"
             "m " ALTER "ATTACH PARTITION `t`.`a3` FOR VALUES IN (3, 4)\n",
     .again = "m " ALTER "DETACH PARTITION `t`.`a3`\n"
              "m " ALTER "ATTACH PARTITION `t`.`a3` FOR VALUES IN (3, 4)\n"
              "m DROP TABLE `t`.`a1`\n",
     .allowed = {"t.a1", "t.a2", "t.a3"}},
    {.name = "a table takes the place of a partition",
     .before = "CREATE TABLE t.a (id int, k int) PARTITION BY LIST (k);",
     .after = "CREATE TABLE t.a1 PARTITION OF t.a FOR VALUES IN (1)",
     .dest_after = "CREATE TABLE t.a1 (id int, k int)",
     .plan = "m ALTER TABLE `t`.`a` ATTACH PARTITION `t`.`a1` FOR VALUES IN (1)\n",
     .allowed = {"t.a1"}},
    {.name = "inheritance, persistence, partitioning",
     .before = "CREATE TABLE t.a (i int); CREATE TABLE t.b (i int); CREATE TABLE t.e (i int)"
               " INHERITS (t.a); CREATE TABLE t.p (i int, j int) PARTITION BY LIST (i)",
     .after = "ALTER TABLE t.b INHERIT t.a; ALTER TABLE t.e NO INHERIT t.a; ALTER TABLE t.b SET"
              " UNLOGGED; DROP TABLE t.p; CREATE TABLE t.p (i int, j int) PARTITION BY LIST (j)",
     .plan = "r ALTER TABLE `t`.`e` NO INHERIT `t`.`a`\n"
             "m -\n"
             "m ALTER TABLE `t`.`b` SET UNLOGGED\n"
             "mc -\n"
             "rol ALTER TABLE `t`.`b` INHERIT `t`.`a`\n",
     .allowed = {"t.b", "t.p"}},
    {.name = "renamed and dropped",
     .before = TABLE "CREATE TABLE t.b (i int); CREATE TABLE t.e (i int)",
     .after = "ALTER TABLE t.a RENAME TO other; DROP TABLE t.b; DROP TABLE t.e; CREATE TABLE t.e"
              " (i int)",
     .plan = "m -\n"
             "m DROP TABLE `t`.`b`\n"
             "mc -\n",
     .allowed = {"t.a", "t.b", "t.other"}},
    {.name = "renamed and dropped, no book",
     .before = TABLE "CREATE TABLE t.b (i int)",
     .after = "ALTER TABLE t.a RENAME TO other; DROP TABLE t.b",
     .plan = "m -\nm -\n",
     .allowed = {"t.a", "t.b", "t.other"},
     .no_book = true},
    {.name = "something else has the name",
     .before = TABLE "CREATE TABLE t.p (i int) PARTITION BY LIST (i); CREATE TABLE t.s (i int)",
     .after = "CREATE SEQUENCE t.q; ALTER TABLE t.s ADD k int DEFAULT nextval('t.q')",
     .dest_after = "DROP TABLE t.a; CREATE VIEW t.a AS SELECT 1 AS id; DROP TABLE t.p; CREATE TABLE"
                   " t.p (i int); CREATE TABLE t.q (i int)",
     .plan = "m -\n"
             "r ALTER TABLE `t`.`s` ADD COLUMN `k` integer\n"
             "rl ALTER TABLE ONLY `t`.`s` ALTER COLUMN `k` SET DEFAULT nextval('t.q'::regclass)\n"
             "m -\n"
             "m -\n",
     .allowed = {"t.a", "t.p", "t.q", "t.s"}},
    {.name = "sequences",
     .before = "CREATE TABLE t.a (i serial, j int); CREATE SEQUENCE t.s; CREATE TABLE t.b (j int"
               " DEFAULT nextval('t.s'))",
     .after =
         "ALTER SEQUENCE t.a_i_seq INCREMENT BY 7 CYCLE; ALTER SEQUENCE t.s AS integer OWNED BY"
         " t.a.j",
     .plan = "ro ALTER SEQUENCE `t`.`a_i_seq` START WITH 1 INCREMENT BY 7 MINVALUE 1 MAXVALUE "
             "2147483647 CACHE 1 CYCLE\n"
             "ro ALTER SEQUENCE `t`.`s` AS integer START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE "
             "2147483647 CACHE 1 NO CYCLE\n"
             "ro ALTER SEQUENCE `t`.`s` OWNED BY `t`.`a`.`j`\n"},
    {.name = "other names at the destination",
     .map = "t.a>u.X y",
     .before = TABLE "CREATE INDEX i ON t.a (c)",
     .after = "ALTER TABLE t.a RENAME c TO cc; ALTER TABLE t.a ADD s serial, ADD CONSTRAINT k CHECK"
              " (cc > 0); ALTER TABLE t.a ALTER d TYPE text; CREATE INDEX j ON t.a (cc)",
     .plan = "r CREATE SEQUENCE `u`.`a_s_seq` AS integer START WITH 1 INCREMENT BY 1 MINVALUE 1 "
             "MAXVALUE 2147483647 CACHE 1\n"
             "rp ALTER TABLE `u`.`X y` RENAME COLUMN `c` TO `cc`\n"
             "rp ALTER TABLE `u`.`X y` ADD COLUMN `s` integer\n"
             "rp ALTER TABLE `u`.`X y` ALTER COLUMN `d` TYPE text\n"
             "rlp ALTER TABLE `u`.`X y` ALTER COLUMN `s` SET NOT NULL\n"
             "rlp ALTER TABLE ONLY `u`.`X y` ALTER COLUMN `s` SET DEFAULT "
             "nextval('`u`.`a_s_seq`'::regclass)\n"
             "rp CREATE INDEX `j` ON `u`.`X y` USING btree (cc)\n"
             "rlp ALTER TABLE `u`.`X y` ADD CONSTRAINT `k` CHECK ((cc > 0)) NOT VALID\n"
             "rolp ALTER TABLE `u`.`X y` VALIDATE CONSTRAINT `k`\n"
             "ro SELECT pg_catalog.setval('`u`.`a_s_seq`'::pg_catalog.regclass, 1, false)\n"
             "rop ALTER SEQUENCE `u`.`a_s_seq` OWNED BY `u`.`X y`.`s`\n",
     .allowed = {"t.a", "X y", "_seq"}},
    {.name = "excluded columns",
     .map = "t.a-c",
     .before = TABLE "CREATE INDEX i ON t.a (c)",
     .after = "CREATE INDEX j ON t.a (c, d); ALTER TABLE t.a ADD CONSTRAINT k CHECK (c > 0); ALTER"
              " TABLE t.a ALTER c TYPE bigint",
     .dest_after = "ALTER TABLE t.a ADD c text",
     .plan = NO_PLAN,
     .allowed = {"t.a"}},
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
    struct CMUnitTest
        tests[COUNT_OF(indexes) + COUNT_OF(constraints) + COUNT_OF(types) + COUNT_OF(tables)];
    size_t n = put(tests, 0, indexes, COUNT_OF(indexes));
    n = put(tests, n, constraints, COUNT_OF(constraints));
    n = put(tests, n, types, COUNT_OF(types));
    (void)put(tests, n, tables, COUNT_OF(tables));
    return cmocka_run_group_tests(tests, diff_start, diff_stop);
}
