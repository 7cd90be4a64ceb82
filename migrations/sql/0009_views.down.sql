DROP FUNCTION move_checkpoints;
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN SELECT * FROM views LOOP
        EXECUTE format('DROP VIEW IF EXISTS %I CASCADE', 'view_' || v.name);
        EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', format('view_%s_v%s', v.name, v.version));
    END LOOP;
END $$;
ALTER TABLE consumers DROP COLUMN history;
DROP TABLE views;
