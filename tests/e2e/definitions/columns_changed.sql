-- What becomes of columns.sql.
COMMENT ON SCHEMA a IS NULL;
COMMENT ON SCHEMA "ünï" IS 'now it has';
COMMENT ON SEQUENCE a.desc_seq IS 'other';
COMMENT ON TABLE a.cols IS NULL;
COMMENT ON CONSTRAINT cols_pkey ON a.cols IS NULL;
COMMENT ON INDEX a.cols_pkey IS 'changed %s';
ALTER TABLE a.cols ALTER c1 SET COMPRESSION default, ALTER c2 SET COMPRESSION pglz;
ALTER TABLE a.cols ALTER id RESET (n_distinct), ALTER d5 SET (n_distinct = 7);
ALTER TABLE a.cols ALTER d2 SET STATISTICS -1;
DROP STATISTICS a.st1;
CREATE STATISTICS a.st3 ON b, c FROM a.stats;
ALTER STATISTICS "B b"."st ""2" SET STATISTICS 9;
COMMENT ON STATISTICS "B b"."st ""2" IS 'hm';
ALTER INDEX a.stats_expr ALTER COLUMN 1 SET STATISTICS -1;
ALTER TABLE a.clustered SET WITHOUT CLUSTER;
CREATE INDEX clustered2_v ON a.clustered2 (v); ALTER TABLE a.clustered2 CLUSTER ON clustered2_v;
COMMENT ON INDEX a.clustered2_v IS 'new one';
ALTER INDEX a.options_pkey SET (fillfactor = 66);
ALTER TABLE a.options RESET (fillfactor, toast.vacuum_truncate);
ALTER TABLE a.options SET (autovacuum_vacuum_threshold=12, toast.autovacuum_vacuum_threshold=99);
ALTER TABLE a.ri_full REPLICA IDENTITY DEFAULT;
ALTER TABLE a.ri_con REPLICA IDENTITY FULL;
-- rows
INSERT INTO a.ident (a) OVERRIDING SYSTEM VALUE VALUES (77);
INSERT INTO a.options VALUES (5, 'x');
