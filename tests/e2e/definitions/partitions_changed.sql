-- What becomes of partitions.sql.
COMMENT ON INDEX p.r_v IS NULL; COMMENT ON INDEX p.r1_v_idx IS 'changed';
CREATE INDEX r_second ON p.r (v DESC, n); COMMENT ON INDEX p.r_second IS 'second';
ALTER TABLE p.r ADD COLUMN extra text DEFAULT 'ex';
ALTER TABLE p.r ADD CONSTRAINT extra_ok CHECK (extra <> 'bad');
COMMENT ON CONSTRAINT extra_ok ON p.r IS 'eo';
ALTER TYPE p.ty ADD ATTRIBUTE d text CASCADE;
ALTER TABLE p.typed ALTER c SET DEFAULT 4;
ALTER TABLE p.a ADD COLUMN a_new int DEFAULT 3;
ALTER TABLE p.a ADD CONSTRAINT a_new_ok CHECK (a_new > 0);
CREATE TABLE p.pi2 PARTITION OF p.pi FOR VALUES FROM (1000) TO (2000);
ALTER TABLE p.e ADD COLUMN c int;
CREATE TABLE "P2".rnew PARTITION OF p.r FOR VALUES FROM ('2032-01-01') TO ('2033-01-01');
-- rows
INSERT INTO p.r (id, at, v, n, extra) VALUES (1001, '2023-01-01', 'a', 1, 'good'); 
INSERT INTO p.typed VALUES (8, 'b', 9, 'd');
INSERT INTO p.r (id, at, v, n) VALUES (2000, '2032-05-01', 'a', 1);
