-- One line for each definition that a mirror carries, to compare two databases.
SELECT line FROM (
SELECT format('table %s %s %s %s %s', c.oid::regclass, c.relkind, c.relpersistence, c.relreplident,
  concat_ws(' ', pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), (SELECT array_agg(o ORDER BY o) FROM unnest(c.reloptions) o)::text,
  (SELECT tc.reloptions FROM pg_class tc WHERE tc.oid = c.reltoastrelid)::text, obj_description(c.oid, 'pg_class'),
  (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid))) AS line
  FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace >= 2200 AND c.relnamespace::regnamespace::text NOT IN ('information_schema', '_bunnydb')
UNION ALL
SELECT format('column %s %s %s %s %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), (SELECT count(*) FROM pg_attribute p WHERE p.attrelid = c.oid AND p.attnum BETWEEN 1 AND a.attnum AND NOT p.attisdropped),
  concat_ws(' ', CASE WHEN a.attnotnull THEN 'notnull' END, CASE WHEN a.attidentity <> '' THEN 'identity' END, a.attgenerated, a.attstorage, coalesce(a.attstattarget, -1), a.attcollation::regcollation, a.attislocal,
  pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), CASE WHEN a.attidentity <> '' THEN pg_get_serial_sequence(c.oid::regclass::text, a.attname) END))
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relkind IN ('r', 'p', 'c') AND c.relnamespace >= 2200 AND c.relnamespace::regnamespace::text NOT IN ('information_schema', '_bunnydb')
UNION ALL
SELECT format('constraint %s %s %s %s %s', coalesce(nullif(con.conrelid, 0)::regclass::text, con.contypid::regtype::text), con.conname, con.convalidated, con.contype = 'c' AND con.connoinherit,
  CASE con.contype WHEN 'f' THEN regexp_replace(pg_get_constraintdef(con.oid), '( DEFERRABLE)?( INITIALLY DEFERRED)?( NOT VALID)?$', '') ELSE pg_get_constraintdef(con.oid) END)
  FROM pg_constraint con WHERE con.connamespace >= 2200 AND con.connamespace::regnamespace::text NOT IN ('information_schema', '_bunnydb') AND con.contype <> 't'
UNION ALL
SELECT format('index %s %s %s %s', x.indrelid::regclass, pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisreplident) FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid WHERE c.relkind IN ('r', 'p') AND c.relnamespace >= 2200 AND c.relnamespace::regnamespace::text <> '_bunnydb'
UNION ALL
SELECT format('sequence %s %s %s', seqrelid::regclass, to_jsonb(s) - 'seqrelid', (SELECT string_agg(concat(refobjid::regclass, '.', refobjsubid), ',') FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = seqrelid AND deptype IN ('a', 'i') AND refobjsubid > 0 AND false))
  FROM pg_sequence s
UNION ALL
SELECT format('type %s %s %s %s %s %s %s', t.oid::regtype, t.typtype, format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault, t.typcollation::regcollation,
  concat_ws(' ', (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)::text, (SELECT concat_ws(' ', rngsubtype::regtype, rngcollation::regcollation, rngsubdiff::regproc, rngmultitypid::regtype, (SELECT opcname FROM pg_opclass WHERE oid = rngsubopc)) FROM pg_range WHERE rngtypid = t.oid)))
  FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.typnamespace >= 2200 AND t.typtype IN ('e', 'd', 'c', 'r', 'm') AND (c.oid IS NULL OR c.relkind = 'c') AND t.typnamespace::regnamespace::text <> 'information_schema'
) l ORDER BY line COLLATE "C";
