-- What becomes of types.sql.
COMMENT ON TYPE t."Enum" IS NULL; COMMENT ON DOMAIN t.d1 IS 'really positive'; COMMENT ON CONSTRAINT "less %" ON DOMAIN t.d2 IS NULL; COMMENT ON COLUMN u.c1."B" IS 'attr2'; COMMENT ON COLLATION t.nd IS NULL;
COMMENT ON TYPE u.r1 IS E'range\n2';
ALTER TYPE t."Enum" ADD VALUE 'added' AFTER 'a';
ALTER TABLE t.tt ADD COLUMN enew t."Enum" DEFAULT 'added';
ALTER DOMAIN t.d2 SET DEFAULT 8;
ALTER TYPE u.cdrop ADD ATTRIBUTE x t.d1;
CREATE TYPE u.newcomp AS (a t."Enum", b "T".hstore); COMMENT ON TYPE u.newcomp IS 'new';
ALTER TABLE t.tt ADD COLUMN nc u.newcomp;
ALTER TABLE t.tt ADD COLUMN t4p text DEFAULT 'x'; 
CREATE INDEX tt_new ON t.tt USING gin (t4p "T".gin_trgm_ops);
ALTER TABLE t.z_row ADD COLUMN b int; ALTER TABLE t.ids ADD COLUMN zr u.d_of_row;
-- rows
INSERT INTO t.tt (id, enew, nc) VALUES (9, 'added', ROW('added', 'x=>y'));
UPDATE t.a_of_row SET r = ROW(1, 'y', 'added', 5); INSERT INTO t.ids VALUES ('{7}', 'z', ROW(3, NULL, NULL, 6));
UPDATE "T".a SET d = ROW(ARRAY[c]);
