-- Everything in a schema, a line each, in a form that does not depend on the server's version or on the schema's name,
-- which is $1 and appears as @.
WITH here AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname = $1
), lines (kind, line) AS (
    SELECT 1, concat_ws(' ', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view'
        WHEN 'c' THEN 'type' ELSE 'relation ' || c.relkind::text END, c.relname, 'with ' || array_to_string(c.reloptions, ', '),
        CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END)
    FROM pg_class c JOIN here h ON h.oid = c.relnamespace WHERE c.relkind NOT IN ('i', 't')
    UNION ALL
    SELECT 2, concat_ws(' ', 'column', c.relname || '.' || lpad(a.attnum::text, 2, '0'), a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> t.typcollation THEN 'collate ' || l.collname END,
        CASE WHEN a.attnotnull THEN 'not null' END,
        CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
        CASE a.attgenerated WHEN 's' THEN 'generated stored' END, 'default ' || pg_get_expr(d.adbin, d.adrelid),
        CASE WHEN a.attstorage <> t.typstorage THEN 'storage ' || a.attstorage::text END,
        CASE WHEN a.attcompression <> '' THEN 'compression ' || a.attcompression::text END)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN here h ON h.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'c', 'p', 'm')
    UNION ALL
    SELECT 3, concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN 'invalid' END)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN here h ON h.oid = c.relnamespace WHERE c.relkind <> 't'
    UNION ALL
    SELECT 4, concat_ws(' ', 'constraint', o.conrelid::regclass, o.conname, pg_get_constraintdef(o.oid))
    FROM pg_constraint o JOIN here h ON h.oid = o.connamespace WHERE o.contype <> 'n' AND o.conrelid <> 0
    UNION ALL
    SELECT 5, concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), CASE g.tgenabled WHEN 'O' THEN NULL ELSE 'enabled ' || g.tgenabled::text END)
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN here h ON h.oid = c.relnamespace WHERE NOT g.tgisinternal
    UNION ALL
    SELECT 6, concat_ws(' ', CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, p.proname || '(' || pg_get_function_arguments(p.oid) || ')',
        'returns ' || pg_get_function_result(p.oid), l.lanname,
        CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
        CASE WHEN p.proisstrict THEN 'strict' END, CASE WHEN p.prosecdef THEN 'security definer' END,
        CASE p.proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' END,
        CASE WHEN p.proconfig IS NOT NULL THEN 'set ' || array_to_string(p.proconfig, ', ') END,
        'body ' || left(encode(sha256(convert_to(regexp_replace(replace(replace(p.prosrc, quote_literal(quote_ident($1) || '.events'), '''events'''),
            quote_literal($1), '@'), '(FROM|INTO|PERFORM) ' || regexp_replace(quote_ident($1), '(\W)', '\\\1', 'g') || '\.', '\1 ', 'g'), 'UTF8')), 'hex'), 16))
    FROM pg_proc p JOIN here h ON h.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
    UNION ALL
    SELECT 7, concat_ws(' ', 'grant', c.relname, array_to_string(c.relacl, ', '))
    FROM pg_class c JOIN here h ON h.oid = c.relnamespace WHERE c.relacl IS NOT NULL
    UNION ALL
    SELECT 8, concat_ws(' ', 'grant', p.proname, array_to_string(p.proacl, ', '))
    FROM pg_proc p JOIN here h ON h.oid = p.pronamespace WHERE p.proacl IS NOT NULL
)
SELECT replace(replace(replace(line, quote_ident($1) || '.', ''),
    'search_path="' || replace($1, '"', '""') || '"', 'search_path=@'), -- a name may be kept in needless quotes
    'search_path=' || quote_ident($1), 'search_path=@') FROM lines ORDER BY kind, line COLLATE "C"
