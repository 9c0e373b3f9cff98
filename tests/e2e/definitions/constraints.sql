-- Constraints and indexes; the extension is that of types.sql.
CREATE SCHEMA k; CREATE SCHEMA "K";
CREATE TABLE k.base (id int PRIMARY KEY, a int, b int, c text, d int4range, e tsvector, f point, g inet, h jsonb, i int[], j box, k_ text, l timestamptz,
  CONSTRAINT u1 UNIQUE (a) DEFERRABLE, CONSTRAINT u2 UNIQUE (b) DEFERRABLE INITIALLY DEFERRED, CONSTRAINT u3 UNIQUE (a, b) INCLUDE (c), CONSTRAINT u4 UNIQUE NULLS NOT DISTINCT (c),
  CONSTRAINT ck1 CHECK (a > 0) NO INHERIT, CHECK (a <> b), CHECK (c IS NULL OR c ~ E'^[\\w''"%$]+$'), CONSTRAINT "Ck 2 ""%" CHECK (a > 0 AND (b < 500 OR b IS NULL)),
  CONSTRAINT x1 EXCLUDE USING gist (d WITH &&) WHERE (a > 5), CONSTRAINT x2 EXCLUDE USING gist (a WITH =, d WITH &&) DEFERRABLE, CONSTRAINT x3 EXCLUDE USING hash (k_ WITH =), CONSTRAINT x4 EXCLUDE USING btree (g WITH =) INCLUDE (a) WITH (fillfactor=71), CONSTRAINT x5 EXCLUDE USING spgist (j WITH &&));
ALTER TABLE k.base ADD CONSTRAINT nv CHECK (b > 100) NOT VALID;
ALTER TABLE k.base ADD CONSTRAINT tru CHECK (true);
CREATE INDEX i_bt ON k.base (a DESC, b NULLS FIRST, c COLLATE "POSIX" text_pattern_ops DESC NULLS LAST) INCLUDE (id, l) WITH (fillfactor=33, deduplicate_items=off) WHERE a IS NOT NULL AND c <> E'it''s \\ %';
CREATE UNIQUE INDEX i_un ON k.base (lower(c), (a + b)) NULLS NOT DISTINCT;
CREATE INDEX i_hash ON k.base USING hash (c) WITH (fillfactor=44);
CREATE INDEX i_gin ON k.base USING gin (e, i, h jsonb_path_ops) WITH (fastupdate=off, gin_pending_list_limit=128);
CREATE INDEX i_gin2 ON k.base USING gin (to_tsvector('english', c));
CREATE INDEX i_gist ON k.base USING gist (f, d, e tsvector_ops (siglen=200), g inet_ops) WITH (buffering=on, fillfactor=50);
CREATE INDEX i_spgist ON k.base USING spgist (f kd_point_ops) INCLUDE (a);
CREATE INDEX i_brin ON k.base USING brin (a int4_minmax_multi_ops (values_per_range=16), c text_bloom_ops (n_distinct_per_range=100, false_positive_rate=0.05), l) WITH (pages_per_range=7, autosummarize=on);
CREATE INDEX "Idx ""q"" %s" ON k.base (((h ->> 'a''b')::int), date_trunc('day', l AT TIME ZONE 'UTC'));
COMMENT ON CONSTRAINT "Ck 2 ""%" ON k.base IS 'cc'; COMMENT ON CONSTRAINT x1 ON k.base IS 'xx'; COMMENT ON INDEX k."Idx ""q"" %s" IS 'ii'; COMMENT ON INDEX k.x1 IS 'idx of constraint';
INSERT INTO k.base (id, a, b) VALUES (1, 2, 101);
CREATE TABLE k.par (a int, b int, c int, PRIMARY KEY (a, b), UNIQUE (b, a), UNIQUE (c));
CREATE UNIQUE INDEX par_uidx ON k.par (a);
CREATE TABLE "K".ch (id int PRIMARY KEY, a int DEFAULT 0, b int DEFAULT 0, c int, p int,
  CONSTRAINT f1 FOREIGN KEY (a, b) REFERENCES k.par ON UPDATE CASCADE ON DELETE SET DEFAULT,
  CONSTRAINT f2 FOREIGN KEY (a, b) REFERENCES k.par (a, b) MATCH FULL ON DELETE RESTRICT ON UPDATE SET NULL DEFERRABLE,
  CONSTRAINT f3 FOREIGN KEY (b, a) REFERENCES k.par (b, a) ON DELETE SET NULL (b) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "f 4" FOREIGN KEY (c) REFERENCES k.par (c) ON DELETE SET DEFAULT (c) ON UPDATE NO ACTION,
  CONSTRAINT f5 FOREIGN KEY (p) REFERENCES "K".ch ON DELETE CASCADE,
  CONSTRAINT f6 FOREIGN KEY (a) REFERENCES k.par (a));
ALTER TABLE "K".ch ADD CONSTRAINT f7 FOREIGN KEY (c) REFERENCES "K".ch (id) NOT VALID;
COMMENT ON CONSTRAINT f1 ON "K".ch IS 'fk comment';
CREATE TABLE k.cyc1 (id int PRIMARY KEY, o int); CREATE TABLE k.cyc2 (id int PRIMARY KEY, o int REFERENCES k.cyc1);
ALTER TABLE k.cyc1 ADD FOREIGN KEY (o) REFERENCES k.cyc2;
CREATE TABLE k.same (id int PRIMARY KEY); CREATE TABLE "K".same (id int PRIMARY KEY REFERENCES k.same);
CREATE TABLE k.dups (a int PRIMARY KEY, b int); CREATE INDEX d1 ON k.dups(b); CREATE INDEX d2 ON k.dups (b); CREATE UNIQUE INDEX d3 ON k.dups (a);
COMMENT ON SCHEMA public IS 'ours';
CREATE TABLE public.plain (id int PRIMARY KEY);
