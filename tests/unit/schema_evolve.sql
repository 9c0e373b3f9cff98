-- evolve(seed, n): n random changes of definitions in schema public, as years of work would make
-- them. What the server refuses (a view needs the column) is left out. Every new name is a new one.
CREATE SCHEMA evolve;
CREATE SEQUENCE evolve.names;
CREATE FUNCTION evolve.pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE
    AS $$SELECT choices[1 + floor(random() * array_length(choices, 1))::int]$$;
CREATE FUNCTION evolve.statement() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    kind text := evolve.pick('add', 'add', 'add', 'rename', 'rename', 'drop', 'retype', 'retype', 'default',
        'null', 'index', 'index', 'dropindex', 'renameindex', 'check', 'dropconstraint', 'renameconstraint',
        'comment', 'option', 'key', 'label', 'foreign');
    t regclass; c name; ty text; x text; n int := nextval('evolve.names');
BEGIN
    SELECT k.oid INTO t FROM pg_class k WHERE k.relnamespace = 'public'::regnamespace AND k.relkind IN ('r', 'p')
        AND NOT k.relispartition ORDER BY random() LIMIT 1;
    SELECT attname, format_type(atttypid, atttypmod) INTO c, ty FROM pg_attribute WHERE attrelid = t AND attnum > 0
        AND NOT attisdropped ORDER BY random() LIMIT 1;
    CASE kind
    WHEN 'add' THEN RETURN format('ALTER TABLE %s ADD COLUMN "New %s" %s', t, n, evolve.pick('int', 'text DEFAULT ''x''',
        'varchar(7) NOT NULL DEFAULT ''a''', 'numeric(6,2) DEFAULT 1.5', 'timestamptz DEFAULT ''2001-01-01''', 'boolean',
        'int[] DEFAULT ''{1,2}''', 'date', 'int GENERATED ALWAYS AS (1 + 1) STORED', 'text COLLATE "C"', 'smallint'));
    WHEN 'rename' THEN RETURN format('ALTER TABLE %s RENAME COLUMN %I TO "%s"', t, c, 'renamed ' || n);
    WHEN 'drop' THEN RETURN format('ALTER TABLE %s DROP COLUMN %I CASCADE', t, c);
    WHEN 'retype' THEN RETURN format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', t, c, CASE
        WHEN ty ~ '^character varying' THEN 'text' WHEN ty = 'smallint' THEN 'int' WHEN ty = 'integer' THEN 'bigint'
        WHEN ty ~ '^numeric\(' THEN 'numeric(20,5)' WHEN ty = 'real' THEN 'double precision' WHEN ty = 'date'
        THEN 'timestamp' ELSE ty END);
    WHEN 'default' THEN RETURN format('ALTER TABLE %s ALTER COLUMN %I %s', t, c, evolve.pick('DROP DEFAULT',
        'SET DEFAULT NULL', 'SET DEFAULT ''7'''));
    WHEN 'null' THEN RETURN format('ALTER TABLE %s ALTER COLUMN %I %s NOT NULL', t, c, evolve.pick('DROP', 'SET'));
    WHEN 'index' THEN RETURN format('CREATE %s INDEX "index %s" ON %s (%I %s) %s', evolve.pick('', '', 'UNIQUE'), n, t, c,
        evolve.pick('', 'DESC'), evolve.pick('', format('WHERE %I IS NOT NULL', c)));
    WHEN 'dropindex', 'renameindex' THEN
        SELECT indexrelid::regclass::text INTO x FROM pg_index JOIN pg_class k ON k.oid = indrelid
            WHERE relnamespace = 'public'::regnamespace AND NOT relispartition ORDER BY random() LIMIT 1;
        RETURN CASE kind WHEN 'dropindex' THEN format('DROP INDEX %s', x)
            ELSE format('ALTER INDEX %s RENAME TO "index %s"', x, n) END;
    WHEN 'check' THEN RETURN format('ALTER TABLE %s ADD CONSTRAINT "check %s" CHECK (%I IS NULL OR %I::text <> ''%s'') %s',
        t, n, c, c, n, evolve.pick('', '', 'NOT VALID'));
    WHEN 'dropconstraint', 'renameconstraint' THEN
        SELECT conrelid, conname INTO t, x FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            AND conrelid <> 0 AND conparentid = 0 AND contype <> 't' ORDER BY random() LIMIT 1;
        RETURN CASE kind WHEN 'dropconstraint' THEN format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', t, x)
            ELSE format('ALTER TABLE %s RENAME CONSTRAINT %I TO "constraint %s"', t, x, n) END;
    WHEN 'comment' THEN RETURN format('COMMENT ON %s IS %s', evolve.pick(format('TABLE %s', t),
        format('COLUMN %s.%I', t, c)), evolve.pick('NULL', quote_literal('it''s ' || n)));
    WHEN 'option' THEN RETURN format('ALTER TABLE %s %s', t, evolve.pick('SET (fillfactor = 50)', 'SET (fillfactor = 60)',
        'RESET (fillfactor)', 'SET (autovacuum_enabled = false)', 'RESET (autovacuum_enabled)', 'REPLICA IDENTITY FULL',
        'REPLICA IDENTITY DEFAULT'));
    WHEN 'key' THEN RETURN format('ALTER TABLE %s ADD %s (%I)', t, evolve.pick('UNIQUE', 'PRIMARY KEY'), c);
    WHEN 'label' THEN
        SELECT format('ALTER TYPE %s RENAME VALUE %L TO %L', enumtypid::regtype, enumlabel, 'label ' || n) INTO x
            FROM pg_enum ORDER BY random() LIMIT 1;
        RETURN x;
    WHEN 'foreign' THEN
        SELECT format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s', t, c, indrelid::regclass) INTO x FROM pg_index
            WHERE indisprimary AND indrelid::regclass::text !~ '^evolve' AND indrelid >= 16384 ORDER BY random() LIMIT 1;
        RETURN x;
    END CASE;
END $$;
-- The statements that worked, a line each.
CREATE FUNCTION evolve.evolve(seed int, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    sql text; done text := '';
BEGIN
    PERFORM setseed(seed / 100000.0);
    WHILE n > 0 LOOP
        BEGIN
            sql := evolve.statement();
            EXECUTE sql;
            done := done || sql || E';\n';
            n := n - 1;
        EXCEPTION WHEN others THEN NULL;
        END;
    END LOOP;
    RETURN done;
END $$;
