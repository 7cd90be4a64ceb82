-- The commit of a batch.

-- commit_batch decides each of n commits by itself, and writes those that it does not refuse. Arrays have an element
-- for each stream, expectation, event, checkpoint, condition and item; x_stream and e_stream say which of s_stream is
-- meant, and rest has whatever is rare. It returns the head before, the version of each stream before, and, if not
-- null, a code for each commit of which nothing was written, with details: again, if it stands already, or why not.
--
-- Rows are locked first, kind by kind and in the order of their keys; the log's lock comes last, and is taken only if
-- there are events. Conditions are tried before it, too, so that little is left to look at under it.
CREATE FUNCTION commit_batch(
    log text, n integer, s_stream text[],
    x_commit integer[], x_stream integer[], x_least bigint[], x_most bigint[],
    e_commit integer[], e_stream integer[], e_nth integer[], e_first integer[],
    e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[],
    c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[],
    u_commit integer[], u_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[],
    rest json, OUT head bigint, OUT versions bigint[], OUT codes text[], OUT details json[]
) LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET jit = off SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off AS $$
#variable_conflict use_variable
DECLARE
    refused boolean[] := array_fill(false, ARRAY[n]); -- nothing of it is written, for whatever reason
    kinds   text[] := '{}';                           -- of what is rare
    seen    bigint := 0;                              -- conditions have been tried up to here
    r       record;
    breaks  integer[];                                -- conditions that were found to be,
    breaker bigint[];                                 -- and by which events
BEGIN
    IF log <> current_schema() THEN
        PERFORM not_this_log(log);
    END IF;
    IF cardinality(c_commit) > 0 THEN
        PERFORM 1 FROM partitions p JOIN unnest(c_consumer, c_partition) c (consumer, partition)
            ON p.consumer = c.consumer AND p.partition = c.partition ORDER BY p.consumer, p.partition FOR UPDATE OF p;
    END IF;
    IF rest IS NOT NULL THEN
        kinds := rest_kinds(rest);
        PERFORM lock_rest(rest, kinds, c_commit);
    END IF;
    codes := array_fill(NULL::text, ARRAY[n]);
    details := array_fill(NULL::json, ARRAY[n]);
    IF cardinality(u_commit) > 0 THEN
        SELECT coalesce(max(e.position), 0) INTO seen FROM events e;
        SELECT array_agg(b.condition), array_agg(b.at) INTO breaks, breaker
            FROM broken(0, seen, u_after, i_condition, i_stream, i_category, i_types, i_tags) b;
    END IF;
    IF cardinality(e_id) > 0 OR 'schedules' = ANY (kinds) THEN
        PERFORM pg_advisory_xact_lock(1313166925, 'events'::regclass::oid::bigint::bit(32)::integer); -- as lock_log does
    END IF;
    SELECT coalesce((SELECT max(e.position) FROM events e), 0), (
        SELECT array_agg(coalesce(v.version, 0) ORDER BY s.ord) FROM unnest(s_stream) WITH ORDINALITY s (stream, ord)
        LEFT JOIN LATERAL (SELECT e.version FROM events e WHERE e.stream = s.stream ORDER BY e.version DESC LIMIT 1) v ON true
    ) INTO head, versions;

    -- Ids: whatever names a known one is the same commit again, or refused.
    -- Nearly always there is none, and that is found out by the least that it takes.
    IF 'schedules' = ANY (kinds) AND EXISTS (SELECT 1 FROM known_schedules(rest))
        OR EXISTS (SELECT 1 FROM unnest(e_id) e (id) JOIN events k ON k.id = e.id)
        OR EXISTS (SELECT 1 FROM unnest(e_id) e (id) JOIN reserved k ON k.id = e.id) THEN
        FOR r IN SELECT * FROM known(e_commit, e_id, rest) LOOP
            refused[r.commit] := true;
            details[r.commit] := sent_before(r.commit, s_stream, e_commit, e_stream, e_id, rest);
            codes[r.commit] := CASE WHEN details[r.commit] IS NULL OR EXISTS (
                SELECT 1 FROM unnest(c_commit, c_consumer, c_partition, c_to) c (commit, consumer, partition, upto)
                WHERE c.commit = r.commit AND NOT EXISTS (SELECT 1 FROM checkpoints k
                    WHERE k.consumer = c.consumer AND k.partition = c.partition AND k.position >= c.upto)
            ) THEN 'reused' ELSE 'again' END;
        END LOOP;
    END IF;

    IF cardinality(c_commit) > 0 THEN
        FOR r IN SELECT * FROM fenced(c_commit, c_consumer, c_partition, c_epoch, c_from, c_to) LOOP
            CONTINUE WHEN refused[r.commit];
            refused[r.commit] := true;
            codes[r.commit] := 'fenced';
            details[r.commit] := r.about;
            IF r.done AND NOT r.commit = ANY (e_commit) AND NOT EXISTS (SELECT 1 FROM rest_schedules(rest) q WHERE q.commit = r.commit) THEN
                codes[r.commit] := 'again';
                details[r.commit] := NULL;
            END IF;
        END LOOP;
    END IF;
    IF kinds && ARRAY['acks', 'returns', 'unparks'] THEN
        FOR r IN SELECT * FROM rest_gone(rest) LOOP
            CONTINUE WHEN refused[r.commit];
            refused[r.commit] := true;
            codes[r.commit] := 'gone';
            details[r.commit] := r.about;
        END LOOP;
    END IF;

    -- Expectations, then conditions.
    IF cardinality(x_commit) > 0 THEN
        FOR r IN
            SELECT x.commit, x.ord, versions[x.stream] AS version
            FROM unnest(x_commit, x_stream, x_least, x_most) WITH ORDINALITY x (commit, stream, least, most, ord)
            WHERE NOT versions[x.stream] BETWEEN x.least AND x.most
            ORDER BY x.ord
        LOOP
            CONTINUE WHEN refused[r.commit];
            refused[r.commit] := true;
            codes[r.commit] := 'conflict';
            details[r.commit] := json_build_object('expectation', r.ord, 'version', r.version, 'stream', s_stream[x_stream[r.ord]]);
        END LOOP;
    END IF;
    IF breaks IS NOT NULL OR head > seen AND cardinality(u_commit) > 0 THEN
        FOR r IN
            SELECT o.condition, min(o.at) AS at FROM (
                SELECT * FROM unnest(breaks, breaker) b (condition, at)
                UNION ALL SELECT b.* FROM broken(seen, head, u_after, i_condition, i_stream, i_category, i_types, i_tags) b WHERE head > seen
            ) o GROUP BY o.condition ORDER BY o.condition
        LOOP
            CONTINUE WHEN refused[u_commit[r.condition]];
            refused[u_commit[r.condition]] := true;
            codes[u_commit[r.condition]] := 'condition';
            details[u_commit[r.condition]] := json_build_object('condition', r.condition, 'position', r.at, 'after', u_after[r.condition]);
        END LOOP;
    END IF;

    -- What is left is written.
    IF true = ANY (refused) THEN
        SELECT array_agg(k.place ORDER BY k.ord) AS place, count(*) FILTER (WHERE k.place > 0) AS n INTO r FROM (
            SELECT u.ord, CASE WHEN refused[u.commit] THEN 0
                ELSE (count(*) FILTER (WHERE NOT refused[u.commit]) OVER (ORDER BY u.ord))::integer END AS place
            FROM unnest(e_commit) WITH ORDINALITY u (commit, ord)
        ) k;
        IF EXISTS (SELECT 1 FROM unnest(e_nth) n WHERE n > 1) THEN -- some streams have several events here
            SELECT array_agg(k.nth ORDER BY k.ord) INTO e_nth FROM (
                SELECT u.ord, (count(*) FILTER (WHERE u.place > 0) OVER (PARTITION BY u.stream ORDER BY u.ord))::integer AS nth
                FROM unnest(e_stream, r.place) WITH ORDINALITY u (stream, place, ord)
            ) k;
        END IF;
        IF r.n > 0 THEN
            PERFORM write_events(head, s_stream, versions, r.place, e_stream, e_nth, e_first, e_id, e_type, e_tags, e_data, e_metadata);
        END IF;
    ELSIF cardinality(e_id) > 0 THEN
        PERFORM write_events(head, s_stream, versions, NULL, e_stream, e_nth, e_first, e_id, e_type, e_tags, e_data, e_metadata);
    END IF;
    IF rest IS NOT NULL THEN
        PERFORM write_rest(rest, kinds, greatest(clock_timestamp(), (SELECT e.time FROM events e WHERE e.position = head)), refused);
    END IF;
    IF cardinality(c_commit) > 0 THEN
        UPDATE checkpoints k SET moved = k.moved + 1, position = c.upto
        FROM unnest(c_commit, c_consumer, c_partition, c_from, c_to) c (commit, consumer, partition, since, upto)
        WHERE c.since <> c.upto AND NOT refused[c.commit] AND k.consumer = c.consumer AND k.partition = c.partition
            AND k.moved = (SELECT max(m.moved) FROM checkpoints m WHERE m.consumer = c.consumer AND m.partition = c.partition);
    END IF;
    IF NOT true = ANY (refused) THEN
        codes := NULL;
        details := NULL;
    END IF;
END $$;

-- fenced returns the commits whose checkpoints may not be made: of another epoch, or elsewhere than from. If all that
-- move have been made, done says so.
CREATE FUNCTION fenced(
    c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[]
) RETURNS TABLE (commit integer, done boolean, about json) LANGUAGE sql STABLE AS $$
    SELECT f.commit,
        bool_and(NOT f.foreign AND (f.since = f.upto OR f.position = f.upto)) AND bool_and(NOT f.elsewhere) AND bool_or(f.since <> f.upto),
        (array_agg(json_build_object('consumer', f.consumer, 'partition', f.partition, 'epoch', f.epoch, 'now', f.now,
            'position', f.position, 'from', f.since) ORDER BY f.foreign DESC, f.elsewhere DESC, f.position <> f.since DESC, f.ord))[1]
    FROM (
        SELECT c.*, p.epoch AS now, s.position, p.epoch IS DISTINCT FROM c.epoch AS foreign,
            s.position IS DISTINCT FROM c.since AND NOT (c.since <> c.upto AND s.position = c.upto) AS elsewhere
        FROM unnest(c_commit, c_consumer, c_partition, c_epoch, c_from, c_to)
            WITH ORDINALITY c (commit, consumer, partition, epoch, since, upto, ord)
        LEFT JOIN partitions p ON p.consumer = c.consumer AND p.partition = c.partition
        LEFT JOIN LATERAL (SELECT k.position FROM checkpoints k WHERE k.consumer = c.consumer AND k.partition = c.partition
            ORDER BY k.moved DESC LIMIT 1) s ON true
    ) f
    GROUP BY f.commit
    HAVING bool_or(f.foreign OR f.position IS DISTINCT FROM f.since)
$$;

-- known_schedules returns the commits of rest that schedule what has a known id, of a schedule or of an event.
CREATE FUNCTION known_schedules(rest json) RETURNS TABLE (commit integer) LANGUAGE sql STABLE AS $$
    WITH u AS MATERIALIZED (
        SELECT q.commit, q.id, (v ->> 'id')::uuid AS event FROM rest_schedules(rest) q, json_array_elements(q.events) v
    )
    SELECT u.commit FROM u JOIN schedules s ON s.id = u.id
    UNION SELECT u.commit FROM u JOIN events e ON e.id = u.event
    UNION SELECT u.commit FROM u JOIN reserved e ON e.id = u.event
$$;

-- known returns the commits that name a known id.
CREATE FUNCTION known(e_commit integer[], e_id uuid[], rest json) RETURNS TABLE (commit integer) LANGUAGE sql STABLE AS $$
    SELECT e.commit FROM unnest(e_commit, e_id) e (commit, id) JOIN events k ON k.id = e.id
    UNION SELECT e.commit FROM unnest(e_commit, e_id) e (commit, id) JOIN reserved k ON k.id = e.id
    UNION SELECT q.commit FROM known_schedules(rest) q
$$;

-- sent_before returns, if a commit was written before, where its events begin and their versions, both null if it had
-- no events. It returns null if it is not the same commit.
CREATE FUNCTION sent_before(k integer, s_stream text[], e_commit integer[], e_stream integer[], e_id uuid[], rest json)
RETURNS json LANGUAGE plpgsql STABLE AS $$
DECLARE
    r record;
    s record;
BEGIN
    SELECT count(*) AS n, count(e.position) AS known, min(e.position) AS first, max(e.first) AS began,
        bool_and(e.stream = s_stream[u.stream]) AS streams, json_agg(e.version ORDER BY u.ord) AS versions,
        array_agg(e.position ORDER BY u.ord) = array_agg(e.position ORDER BY e.position) AS ordered, max(e.position) AS last
    INTO r
    FROM unnest(e_commit, e_stream, e_id) WITH ORDINALITY u (commit, stream, id, ord) LEFT JOIN events e ON e.id = u.id
    WHERE u.commit = k;
    SELECT count(*) AS n, count(h.id) AS known, count(DISTINCT h.batch) AS batches, min(h.size) AS size INTO s
    FROM rest_schedules(rest) q LEFT JOIN schedules h ON h.id = q.id WHERE q.commit = k;
    IF r.n > 0 THEN
        IF r.known = r.n AND r.streams AND r.ordered AND r.last - r.first + 1 = r.n AND r.began = r.first AND s.known = s.n
            AND NOT EXISTS (SELECT 1 FROM events e WHERE e.position = r.last + 1 AND e.first = r.first) THEN
            RETURN json_build_object('first', r.first, 'versions', r.versions);
        END IF;
    ELSIF s.n > 0 AND s.known = s.n AND s.batches = 1 AND s.size = s.n THEN
        RETURN '{}';
    END IF;
    RETURN NULL;
END $$;
