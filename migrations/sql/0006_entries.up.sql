-- What is rare of a batch: rest is an array of objects: commit, and any of deliveries, acks, returns, parks, unparks,
-- redrives, schedules, cancels.

-- rest_list returns what the lists of a kind have, each with its commit and its place in the list. Each list is taken out
-- once, not for every one of its elements.
CREATE FUNCTION rest_list(rest json, kind text) RETURNS TABLE (commit integer, v json, ord bigint) LANGUAGE sql IMMUTABLE AS $$
    SELECT o.commit, l.v, l.ord
    FROM (SELECT (r ->> 'commit')::integer AS commit, r -> kind AS list FROM json_array_elements(rest) r OFFSET 0) o,
        json_array_elements(o.list) WITH ORDINALITY l (v, ord)
$$;

CREATE FUNCTION rest_schedules(rest json) RETURNS TABLE (commit integer, ord bigint, id uuid, due timestamptz, stream text, events json)
LANGUAGE sql IMMUTABLE AS $$
    SELECT s.commit, s.ord, (s.v ->> 'id')::uuid, (s.v ->> 'due')::timestamptz, s.v ->> 'stream', s.v -> 'events'
    FROM rest_list(rest, 'schedules') s
$$;

-- rest_kinds returns what kinds of lists there are, so that nobody looks for what is not there.
CREATE FUNCTION rest_kinds(rest json) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(DISTINCT k.kind) FROM json_array_elements(rest) r, json_object_keys(r) k (kind)
$$;

-- lock_rest locks the rows that a batch is about, kind by kind and in the order of their keys, and tells readers to
-- look again. Whether there are rows of consumers to lock, c_commit tells: unparks of commits without a checkpoint are
-- somebody else's.
CREATE FUNCTION lock_rest(rest json, kinds text[], c_commit integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    foreign_unparks uuid[];
BEGIN
    IF kinds && ARRAY['acks', 'returns'] THEN
        PERFORM 1 FROM deliveries d WHERE d.id IN (
            SELECT (a.v ->> 'id')::uuid FROM rest_list(rest, 'acks') a
            UNION ALL SELECT (r.v ->> 'id')::uuid FROM rest_list(rest, 'returns') r
        ) ORDER BY d.consumer, d.id FOR UPDATE;
    END IF;
    IF kinds && ARRAY['parks', 'unparks', 'redrives'] THEN
        PERFORM 1 FROM parked p WHERE p.id IN (
            SELECT (k.v ->> 'id')::uuid FROM rest_list(rest, 'parks') k
            UNION ALL SELECT (u.v #>> '{}')::uuid FROM rest_list(rest, 'unparks') u
            UNION ALL SELECT (r.v #>> '{}')::uuid FROM rest_list(rest, 'redrives') r
        ) ORDER BY p.id FOR UPDATE;
    END IF;
    IF 'cancels' = ANY (kinds) THEN
        PERFORM 1 FROM schedules s WHERE s.id IN (SELECT (c.v #>> '{}')::uuid FROM rest_list(rest, 'cancels') c) ORDER BY s.id FOR UPDATE;
    END IF;

    -- Operators' doings. The counters of consumers are locked like everything else, before the log.
    IF kinds && ARRAY['unparks', 'redrives'] THEN
        SELECT array_agg(f.id) INTO foreign_unparks FROM (
            SELECT (r.v #>> '{}')::uuid AS id FROM rest_list(rest, 'redrives') r
            UNION ALL SELECT (u.v #>> '{}')::uuid FROM rest_list(rest, 'unparks') u WHERE NOT u.commit = ANY (c_commit)
        ) f;
        IF cardinality(foreign_unparks) > 0 THEN
            PERFORM 1 FROM consumers c WHERE c.name IN (SELECT p.consumer FROM parked p WHERE p.id = ANY (foreign_unparks))
                ORDER BY c.name FOR UPDATE;
            UPDATE consumers c SET redrives = c.redrives + 1
                WHERE c.name IN (SELECT p.consumer FROM parked p WHERE p.id = ANY (foreign_unparks));
            PERFORM beat('roster');
        END IF;
    END IF;
    IF kinds && ARRAY['deliveries', 'acks', 'returns'] THEN
        PERFORM beat('window');
    END IF;
END $$;

-- rest_gone lists deliveries that are not the committer's any more, and parked entries that are gone.
CREATE FUNCTION rest_gone(rest json) RETURNS TABLE (commit integer, about json) LANGUAGE sql STABLE AS $$
    SELECT a.commit, json_build_object('consumer', a.v ->> 'consumer', 'entry', a.v ->> 'id')
    FROM (SELECT * FROM rest_list(rest, 'acks') UNION ALL SELECT * FROM rest_list(rest, 'returns')) a
    WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.consumer = a.v ->> 'consumer' AND d.id = (a.v ->> 'id')::uuid
        AND d.attempt = (a.v ->> 'attempt')::integer AND d.held)
    UNION ALL
    SELECT u.commit, json_build_object('entry', u.v #>> '{}') FROM rest_list(rest, 'unparks') u
    WHERE NOT EXISTS (SELECT 1 FROM parked p WHERE p.id = (u.v #>> '{}')::uuid)
$$;

-- write_rest writes what is rare, but for that of refused commits: schedules of all at once, for most have nothing else. What
-- one commit schedules, a later one may cancel; within one, cancels come first.
CREATE FUNCTION write_rest(rest json, kinds text[], now timestamptz, refused boolean[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    o json;
BEGIN
    IF 'cancels' = ANY (kinds) THEN
        UPDATE schedules s SET due = NULL, events = NULL
        WHERE s.due IS NOT NULL AND s.id IN (SELECT (c.v #>> '{}')::uuid FROM rest_list(rest, 'cancels') c WHERE NOT refused[c.commit]);
    END IF;
    IF 'schedules' = ANY (kinds) THEN
        WITH scheduled AS (
            INSERT INTO schedules (id, batch, size, due, stream, events)
            SELECT q.id, first_value(q.id) OVER (PARTITION BY q.commit ORDER BY q.ord), count(*) OVER (PARTITION BY q.commit), q.due, q.stream, q.events
            FROM rest_schedules(rest) q WHERE NOT refused[q.commit] ORDER BY q.commit, q.ord
            RETURNING events
        )
        INSERT INTO reserved SELECT (e ->> 'id')::uuid FROM scheduled q, json_array_elements(q.events) e;
        IF 'cancels' = ANY (kinds) THEN
            UPDATE schedules s SET due = NULL, events = NULL
            FROM rest_list(rest, 'cancels') c JOIN rest_schedules(rest) q ON q.id = (c.v #>> '{}')::uuid AND q.commit < c.commit
            WHERE s.id = q.id AND s.due IS NOT NULL AND NOT refused[c.commit];
        END IF;
    END IF;
    IF kinds && ARRAY['deliveries', 'acks', 'returns', 'parks', 'unparks', 'redrives'] THEN
        FOR o IN SELECT v FROM json_array_elements(rest) v LOOP
            CONTINUE WHEN refused[(o ->> 'commit')::integer];
            PERFORM write_entries(o, now);
        END LOOP;
    END IF;
END $$;

-- write_entries writes what one commit does with parked entries and deliveries.
CREATE FUNCTION write_entries(o json, now timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF o -> 'unparks' IS NOT NULL THEN
        DELETE FROM parked p WHERE p.id IN (SELECT v::uuid FROM json_array_elements_text(o -> 'unparks') v)
            AND p.id NOT IN (SELECT (v ->> 'id')::uuid FROM json_array_elements(coalesce(o -> 'parks', '[]')) v);
    END IF;
    IF o -> 'parks' IS NOT NULL THEN
        INSERT INTO parked (id, consumer, partition, key, position, event, attempts, failures, due, redriven, at)
        SELECT (v ->> 'id')::uuid, v ->> 'consumer', (v ->> 'partition')::integer, v ->> 'key', (v ->> 'position')::bigint,
            (v ->> 'event')::uuid, (v ->> 'attempts')::integer, v -> 'failures', (v ->> 'due')::timestamptz,
            (v ->> 'redriven')::boolean, now
        FROM json_array_elements(o -> 'parks') v
        ON CONFLICT (id) DO UPDATE SET consumer = excluded.consumer, partition = excluded.partition, key = excluded.key,
            position = excluded.position, event = excluded.event, attempts = excluded.attempts, failures = excluded.failures,
            due = excluded.due, redriven = excluded.redriven;
    END IF;
    IF o -> 'redrives' IS NOT NULL THEN
        UPDATE parked p SET redriven = true WHERE p.id IN (SELECT v::uuid FROM json_array_elements_text(o -> 'redrives') v);
    END IF;
    IF o -> 'acks' IS NOT NULL THEN
        DELETE FROM deliveries d USING json_array_elements(o -> 'acks') v
        WHERE d.consumer = v ->> 'consumer' AND d.id = (v ->> 'id')::uuid;
    END IF;
    IF o -> 'returns' IS NOT NULL THEN
        UPDATE deliveries d SET held = false, due = (v ->> 'due')::timestamptz, failures = (
            SELECT json_agg(f.v ORDER BY f.ord) FROM (
                SELECT g.v, g.ord FROM (
                    SELECT x.v, x.ord FROM json_array_elements(d.failures) WITH ORDINALITY x (v, ord)
                    UNION ALL SELECT v -> 'failure', 1000000
                ) g ORDER BY g.ord DESC LIMIT 32) f)
        FROM json_array_elements(o -> 'returns') v
        WHERE d.consumer = v ->> 'consumer' AND d.id = (v ->> 'id')::uuid;
    END IF;
    IF o -> 'deliveries' IS NOT NULL THEN
        INSERT INTO deliveries (consumer, id, position, event)
        SELECT v ->> 'consumer', (v ->> 'id')::uuid, (v ->> 'position')::bigint, (v ->> 'event')::uuid
        FROM json_array_elements(o -> 'deliveries') v ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- fire moves due schedules into the log, each together with its removal. Whoever comes second waits for the first, and
-- fires what is left.
CREATE FUNCTION fire(log text, most integer, OUT fired integer, OUT next timestamptz)
LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off SET enable_seqscan = off AS $$
DECLARE
    ids  uuid[];
    head bigint;
    r    record;
BEGIN
    IF log <> current_schema() THEN
        PERFORM not_this_log(log);
    END IF;
    SELECT array_agg(q.id ORDER BY q.due, q.made) INTO ids FROM (
        SELECT s.id, s.due, s.made FROM schedules s WHERE s.due <= clock_timestamp() ORDER BY s.due, s.made LIMIT most FOR UPDATE
    ) q;
    IF ids IS NOT NULL THEN
        PERFORM lock_log();
        SELECT coalesce(max(e.position), 0) INTO head FROM events e;
        DELETE FROM reserved k USING schedules s, json_array_elements(s.events) v WHERE s.id = ANY (ids) AND k.id = (v ->> 'id')::uuid;
        WITH due AS (
            SELECT s.stream, v.v, row_number() OVER w AS ord, row_number() OVER w - v.ord + 1 AS first,
                row_number() OVER (PARTITION BY s.stream ORDER BY i.k, v.ord) AS nth, dense_rank() OVER (ORDER BY s.stream) AS n
            FROM unnest(ids) WITH ORDINALITY i (id, k) JOIN schedules s ON s.id = i.id,
                json_array_elements(s.events) WITH ORDINALITY v (v, ord)
            WINDOW w AS (ORDER BY i.k, v.ord)
        )
        SELECT (SELECT array_agg(u.stream ORDER BY u.n) FROM (SELECT DISTINCT n, stream FROM due) u) AS streams,
            array_agg(n::integer ORDER BY ord) AS stream, array_agg(nth::integer ORDER BY ord) AS nth, array_agg(first::integer ORDER BY ord) AS first,
            array_agg((v ->> 'id')::uuid ORDER BY ord) AS id, array_agg(v ->> 'type' ORDER BY ord) AS type, array_agg(v -> 'tags' ORDER BY ord) AS tags,
            array_agg((v ->> 'data')::json ORDER BY ord) AS data, array_agg(v -> 'metadata' ORDER BY ord) AS metadata
        INTO r FROM due;
        PERFORM write_events(head, r.streams, (
            SELECT array_agg(coalesce(v.version, 0) ORDER BY s.ord) FROM unnest(r.streams) WITH ORDINALITY s (stream, ord)
            LEFT JOIN LATERAL (SELECT e.version FROM events e WHERE e.stream = s.stream ORDER BY e.version DESC LIMIT 1) v ON true
        ), NULL, r.stream, r.nth, r.first, r.id, r.type, r.tags, r.data, r.metadata);
        UPDATE schedules s SET due = NULL, events = NULL WHERE s.id = ANY (ids);
    END IF;
    fired := coalesce(cardinality(ids), 0);
    SELECT min(s.due) INTO next FROM schedules s WHERE s.due IS NOT NULL;
END $$;
