-- What becomes of constraints.sql.
COMMENT ON CONSTRAINT "Ck 2 ""%" ON k.base IS NULL; COMMENT ON CONSTRAINT x1 ON k.base IS 'other'; COMMENT ON INDEX k.x1 IS NULL;
DROP INDEX k.i_brin; CREATE INDEX i_brin ON k.base USING brin (l); COMMENT ON INDEX k.i_brin IS 'anew';
DROP INDEX k."Idx ""q"" %s"; CREATE INDEX "Idx ""q"" %s" ON k.base (a); COMMENT ON INDEX k."Idx ""q"" %s" IS 'ii';
ALTER TABLE k.base DROP CONSTRAINT u4, ADD CONSTRAINT u4 UNIQUE (c);
ALTER TABLE k.base DROP CONSTRAINT x3, DROP CONSTRAINT ck1, ADD CONSTRAINT ck1 CHECK (a > -1);
COMMENT ON CONSTRAINT ck1 ON k.base IS 'ck';
ALTER TABLE "K".ch DROP CONSTRAINT f1, ADD CONSTRAINT f1 FOREIGN KEY (a, b) REFERENCES k.par ON DELETE CASCADE, VALIDATE CONSTRAINT f7;
COMMENT ON CONSTRAINT f1 ON "K".ch IS 'fk comment';
COMMENT ON CONSTRAINT f2 ON "K".ch IS 'f2';
ALTER INDEX k.i_bt SET (fillfactor = 35); ALTER INDEX k.i_gin SET (fastupdate = on);
-- rows
INSERT INTO k.base (id, a, b) VALUES (3, 4, 102);
