SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA necrostack;

CREATE FUNCTION necrostack.append_one(log text, of text, low bigint, high bigint, id uuid, type text, tags json, data json, metadata json, OUT before bigint, OUT place bigint) RETURNS record
    LANGUAGE plpgsql
    AS $$
        #variable_conflict use_variable
        DECLARE
            last  timestamptz;
            taken boolean;
        BEGIN
            IF log <> 'necrostack' THEN
                PERFORM necrostack.not_this_log(log);
            END IF;
            PERFORM pg_advisory_xact_lock(1313166925, 'necrostack.events'::regclass::oid::bigint::bit(32)::integer); -- as lock_log does
            SELECT coalesce(l.position, 0) + 1, l.time,
                coalesce((SELECT e.version FROM necrostack.events e WHERE e.stream = of ORDER BY e.version DESC LIMIT 1), 0),
                EXISTS (SELECT 1 FROM necrostack.reserved r WHERE r.id = id)
                INTO place, last, before, taken
                FROM (VALUES (0)) one LEFT JOIN (SELECT e.position, e.time FROM necrostack.events e ORDER BY e.position DESC LIMIT 1) l ON true;
            IF taken THEN
                RAISE unique_violation USING CONSTRAINT = 'events_id', MESSAGE = 'the id is reserved';
            END IF;
            IF before < low OR before > high THEN
                place := NULL;
                RETURN;
            END IF;
            INSERT INTO necrostack.events VALUES (place, of, before + 1, id, type, tags, data, metadata, greatest(clock_timestamp(), last), place);
            IF tags IS NOT NULL THEN
                INSERT INTO necrostack.event_tags SELECT t.tag, place, type FROM json_array_elements_text(tags) t (tag);
            END IF;
        END $$;

CREATE FUNCTION necrostack.beat(what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
BEGIN
    PERFORM 1 FROM pulse_locks l WHERE l.name = what FOR UPDATE;
    UPDATE pulses SET beat = beat + 1 WHERE name = what AND beat = (SELECT max(p.beat) FROM pulses p WHERE p.name = what);
END $$;

CREATE FUNCTION necrostack.broken(since bigint, upto bigint, x_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[]) RETURNS TABLE(condition integer, at bigint)
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN QUERY
    SELECT f.condition, min(f.at) FROM (
        SELECT i.condition, CASE
            WHEN i.types_json IS NULL THEN (SELECT t.position FROM event_tags t
                WHERE t.tag = i.tags_json ->> 0 AND t.position >= i.lowest AND t.position <= upto ORDER BY t.position LIMIT 1)
            ELSE (SELECT e.position FROM events e WHERE (e.type, e.position) >= (i.types_json ->> 0, i.lowest)
                AND (e.type, e.position) <= (i.types_json ->> 0, upto) ORDER BY e.type, e.position LIMIT 1) END AS at
        FROM items(since, upto, x_after, i_condition, i_stream, i_category, i_types, i_tags) i
        WHERE i.plain
        UNION ALL
        SELECT i.condition, CASE WHEN i.found >= i.lowest THEN i.found
            WHEN i.found IS NOT NULL THEN first_match(i.stream, i.category, i.tags, i.types, i.lowest, upto) END
        FROM (
            SELECT g.*, max(CASE WHEN g.nth = 1 THEN first_match(g.stream, g.category, g.tags, g.types, g.lowest, upto) END)
                OVER (PARTITION BY g.kind) AS found
            FROM (
                SELECT k.*, row_number() OVER (PARTITION BY k.kind ORDER BY k.lowest) AS nth,
                    CASE WHEN k.types_json IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(k.types_json)) END AS types,
                    CASE WHEN k.tags_json IS NOT NULL THEN ARRAY(SELECT DISTINCT json_array_elements_text(k.tags_json)) END AS tags
                FROM (
                    SELECT u.*, concat(length(u.stream), u.stream, '|', length(u.category), u.category, '|', u.types_json, '|', u.tags_json) AS kind
                    FROM items(since, upto, x_after, i_condition, i_stream, i_category, i_types, i_tags) u
                    WHERE NOT u.plain
                ) k
            ) g
        ) i
    ) f
    WHERE f.at IS NOT NULL
    GROUP BY f.condition;
END $$;

CREATE FUNCTION necrostack.claim(member text, who text, asked bigint, wanted integer[]) RETURNS TABLE(code text, partition integer, epoch bigint, "position" bigint, lost integer)
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    c     consumers;
    count integer;
BEGIN
    SELECT * INTO c FROM consumers k WHERE k.name = who FOR SHARE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', 0, 0::bigint, 0::bigint, 0;
        RETURN;
    ELSIF NOT EXISTS (SELECT 1 FROM members m WHERE m.id = member AND m.expires > clock_timestamp()) THEN
        RETURN QUERY SELECT 'dead', 0, 0::bigint, 0::bigint, 0;
        RETURN;
    ELSIF c.paused OR c.generation <> asked THEN
        RETURN QUERY SELECT 'refused', 0, 0::bigint, 0::bigint, 0;
        RETURN;
    END IF;
    count := (SELECT count(*) FROM partitions p WHERE p.consumer = who);
    IF EXISTS (SELECT 1 FROM unnest(wanted) w WHERE w < 0 OR w >= count) THEN
        RETURN QUERY SELECT 'partition', count, 0::bigint, 0::bigint, 0;
        RETURN;
    END IF;
    PERFORM 1 FROM partitions p WHERE p.consumer = who AND p.partition = ANY (wanted) ORDER BY p.partition FOR UPDATE;
    RETURN QUERY
    UPDATE partitions p SET epoch = p.epoch + 1, owner = member, stood = k.moved,
        lost = CASE WHEN p.stood = k.moved THEN p.lost ELSE 0 END
            + CASE WHEN p.owner IS NOT NULL AND p.owner <> member THEN 1 ELSE 0 END
    FROM unnest(wanted) w (partition), LATERAL (
        SELECT x.moved, x.position FROM checkpoints x WHERE x.consumer = who AND x.partition = w.partition ORDER BY x.moved DESC LIMIT 1
    ) k
    WHERE p.consumer = who AND p.partition = w.partition
        AND (p.owner = member OR NOT EXISTS (SELECT 1 FROM members m WHERE m.id = p.owner AND m.expires > clock_timestamp()))
    RETURNING NULL::text, p.partition, p.epoch, k.position, p.lost;
END $$;

CREATE FUNCTION necrostack.commit_batch(log text, n integer, s_stream text[], x_commit integer[], x_stream integer[], x_least bigint[], x_most bigint[], e_commit integer[], e_stream integer[], e_nth integer[], e_first integer[], e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[], c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[], u_commit integer[], u_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[], rest json, OUT head bigint, OUT versions bigint[], OUT codes text[], OUT details json[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
#variable_conflict use_variable
DECLARE
    refused boolean[] := array_fill(false, ARRAY[n]); -- nothing of it is written, for whatever reason
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
        PERFORM lock_rest(rest, c_commit);
    END IF;
    codes := array_fill(NULL::text, ARRAY[n]);
    details := array_fill(NULL::json, ARRAY[n]);
    IF cardinality(u_commit) > 0 THEN
        SELECT coalesce(max(e.position), 0) INTO seen FROM events e;
        SELECT array_agg(b.condition), array_agg(b.at) INTO breaks, breaker
            FROM broken(0, seen, u_after, i_condition, i_stream, i_category, i_types, i_tags) b;
    END IF;
    IF cardinality(e_id) > 0 OR rest IS NOT NULL AND EXISTS (SELECT 1 FROM rest_schedules(rest)) THEN
        PERFORM pg_advisory_xact_lock(1313166925, 'events'::regclass::oid::bigint::bit(32)::integer); -- as lock_log does
    END IF;
    SELECT coalesce((SELECT max(e.position) FROM events e), 0), (
        SELECT array_agg(coalesce(v.version, 0) ORDER BY s.ord) FROM unnest(s_stream) WITH ORDINALITY s (stream, ord)
        LEFT JOIN LATERAL (SELECT e.version FROM events e WHERE e.stream = s.stream ORDER BY e.version DESC LIMIT 1) v ON true
    ) INTO head, versions;

    -- Ids: whatever names a known one is the same commit again, or refused.
    -- Nearly always there is none, and that is found out by the least that it takes.
    IF rest IS NOT NULL OR EXISTS (SELECT 1 FROM unnest(e_id) e (id) JOIN events k ON k.id = e.id)
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
    IF rest IS NOT NULL THEN
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
        PERFORM write_rest(rest, greatest(clock_timestamp(), (SELECT e.time FROM events e WHERE e.position = head)), refused);
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

CREATE FUNCTION necrostack.commit_staged() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
DECLARE
    r     record;
    named text;
BEGIN
    DELETE FROM staged WHERE id = NEW.id;
    -- Had somebody made constraints immediate, the log's lock would be held while the server waits for its client.
    PERFORM set_config('idle_in_transaction_session_timeout', '1s', true);
    BEGIN
        SELECT * INTO r FROM commit_batch(current_schema(), 1, NEW.s_stream, NEW.x_commit, NEW.x_stream, NEW.x_least, NEW.x_most,
            NEW.e_commit, NEW.e_stream, NEW.e_nth, NEW.e_first, NEW.e_id, NEW.e_type, NEW.e_tags, NEW.e_data, NEW.e_metadata,
            NEW.c_commit, NEW.c_consumer, NEW.c_partition, NEW.c_epoch, NEW.c_from, NEW.c_to,
            NEW.u_commit, NEW.u_after, NEW.i_condition, NEW.i_stream, NEW.i_category, NEW.i_types, NEW.i_tags, NEW.rest);
    EXCEPTION WHEN unique_violation THEN
        -- What is there already and cannot be seen is newer than the snapshot.
        GET STACKED DIAGNOSTICS named = CONSTRAINT_NAME;
        RAISE serialization_failure USING MESSAGE = format('the log has grown since this transaction took its snapshot (%s)', named);
    END;
    IF r.codes[1] <> 'again' THEN
        PERFORM refuse_old_snapshot(r.head);
        RAISE EXCEPTION USING ERRCODE = 'NS001', MESSAGE = format('the log refuses a commit: %s', r.codes[1]),
            DETAIL = json_build_object('code', r.codes[1], 'about', r.details[1]);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION necrostack.fence_all(who text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
BEGIN
    PERFORM 1 FROM partitions p WHERE p.consumer = who ORDER BY p.partition FOR UPDATE;
    UPDATE partitions SET epoch = epoch + 1, owner = NULL, lost = 0 WHERE consumer = who;
END $$;

CREATE FUNCTION necrostack.fenced(c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[]) RETURNS TABLE(commit integer, done boolean, about json)
    LANGUAGE sql STABLE
    AS $$
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

CREATE FUNCTION necrostack.fire(log text, most integer, OUT fired integer, OUT next timestamp with time zone) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
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

CREATE FUNCTION necrostack.first_match(of text, within text, tags text[], types text[], since bigint, upto bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
#variable_conflict use_variable
BEGIN
    IF of IS NULL AND within IS NULL THEN
        IF tags IS NULL AND types IS NULL THEN
            RETURN since;
        END IF;
        RETURN first_of(tags, types, since, upto);
    ELSIF of IS NULL AND tags IS NULL AND types IS NULL THEN
        RETURN (SELECT e.position FROM events e WHERE (split_part(e.stream, '-', 1), e.position) >= (within, since)
            AND (split_part(e.stream, '-', 1), e.position) <= (within, upto) ORDER BY split_part(e.stream, '-', 1), e.position LIMIT 1);
    ELSIF of IS NULL THEN
        LOOP
            since := first_of(tags, types, since, upto);
            IF since IS NULL OR EXISTS (SELECT 1 FROM events e WHERE e.position = since AND split_part(e.stream, '-', 1) = within) THEN
                RETURN since;
            END IF;
            since := since + 1;
        END LOOP;
    END IF;
    IF split_part(of, '-', 1) <> within THEN
        RETURN NULL;
    END IF;
    -- From its end, which is where conditions look, back to since.
    RETURN (SELECT min(s.position) FROM (
        SELECT e.position, e.type, e.tags FROM events e WHERE e.stream = of
            AND e.version > coalesce((SELECT b.version FROM events b WHERE b.stream = of AND b.position < since ORDER BY b.version DESC LIMIT 1), 0)
        ) s
        WHERE s.position <= upto AND (types IS NULL OR s.type = ANY (types))
            AND (tags IS NULL OR s.tags IS NOT NULL AND ARRAY(SELECT json_array_elements_text(s.tags)) @> tags));
END $$;

CREATE FUNCTION necrostack.first_of(tags text[], types text[], since bigint, upto bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    lists   integer := coalesce(cardinality(tags), 0);
    list    integer := 1; -- the types are the last one
    agreed  integer := 0; -- lists that have since
    next    bigint;
    of_type text;
BEGIN
    -- A few events are looked through at once.
    IF cardinality(tags) > 1 AND upto - since < 1000 THEN
        RETURN (SELECT min(b.position) FROM (
            SELECT t.position FROM event_tags t WHERE t.tag = ANY (tags) AND t.position >= since AND t.position <= upto
                AND (types IS NULL OR t.type = ANY (types))
            GROUP BY t.position HAVING count(*) = cardinality(tags)) b);
    END IF;
    -- Several types have no order in common: if there are tags, they are looked at where these agree.
    IF tags IS NULL OR cardinality(types) = 1 THEN
        lists := lists + 1;
    END IF;
    LOOP
        IF list <= coalesce(cardinality(tags), 0) THEN
            SELECT t.position, t.type INTO next, of_type FROM event_tags t
                WHERE t.tag = tags[list] AND t.position >= since AND t.position <= upto ORDER BY t.position LIMIT 1;
        ELSE
            SELECT f.position, f.type INTO next, of_type
                FROM unnest(types) y (type) CROSS JOIN LATERAL (SELECT e.position, e.type FROM events e
                    WHERE (e.type, e.position) >= (y.type, since) AND (e.type, e.position) <= (y.type, upto) ORDER BY e.type, e.position LIMIT 1) f
                ORDER BY f.position LIMIT 1;
        END IF;
        IF next IS NULL THEN
            RETURN NULL;
        END IF;
        agreed := CASE WHEN next = since THEN agreed + 1 ELSE 1 END;
        since := next;
        IF agreed >= lists THEN
            IF types IS NULL OR of_type = ANY (types) THEN
                RETURN since;
            END IF;
            since := since + 1;
            agreed := 0;
        END IF;
        list := list % lists + 1;
    END LOOP;
END $$;

CREATE FUNCTION necrostack.items(since bigint, upto bigint, x_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[]) RETURNS TABLE(condition integer, stream text, category text, types_json json, tags_json json, lowest bigint, plain boolean)
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT u.condition, u.stream, u.category, u.types_json, u.tags_json, s.lowest,
        u.stream IS NULL AND u.category IS NULL AND coalesce(json_array_length(u.types_json), 0) + coalesce(json_array_length(u.tags_json), 0) = 1
    FROM unnest(i_condition, i_stream, i_category, i_types, i_tags) u (condition, stream, category, types_json, tags_json),
        LATERAL (SELECT greatest(x_after[u.condition], since) + 1 AS lowest) s
    WHERE s.lowest <= upto
$$;

CREATE FUNCTION necrostack.known(e_commit integer[], e_id uuid[], rest json) RETURNS TABLE(commit integer)
    LANGUAGE sql STABLE
    AS $$
    SELECT e.commit FROM unnest(e_commit, e_id) e (commit, id) JOIN events k ON k.id = e.id
    UNION SELECT e.commit FROM unnest(e_commit, e_id) e (commit, id) JOIN reserved k ON k.id = e.id
    UNION SELECT q.commit FROM known_schedules(rest) q
$$;

CREATE FUNCTION necrostack.known_schedules(rest json) RETURNS TABLE(commit integer)
    LANGUAGE sql STABLE
    AS $$
    SELECT q.commit FROM rest_schedules(rest) q JOIN schedules s ON s.id = q.id
    UNION SELECT q.commit FROM rest_schedules(rest) q, json_array_elements(q.events) v JOIN events e ON e.id = (v ->> 'id')::uuid
    UNION SELECT q.commit FROM rest_schedules(rest) q, json_array_elements(q.events) v JOIN reserved e ON e.id = (v ->> 'id')::uuid
$$;

CREATE FUNCTION necrostack.lock_log() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1313166925, 'events'::regclass::oid::bigint::bit(32)::integer);
END $$;

CREATE FUNCTION necrostack.lock_rest(rest json, c_commit integer[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    foreign_unparks uuid[];
BEGIN
    PERFORM 1 FROM deliveries d WHERE d.id IN (
        SELECT (a.v ->> 'id')::uuid FROM rest_list(rest, 'acks') a
        UNION ALL SELECT (r.v ->> 'id')::uuid FROM rest_list(rest, 'returns') r
    ) ORDER BY d.consumer, d.id FOR UPDATE;
    PERFORM 1 FROM parked p WHERE p.id IN (
        SELECT (k.v ->> 'id')::uuid FROM rest_list(rest, 'parks') k
        UNION ALL SELECT (u.v #>> '{}')::uuid FROM rest_list(rest, 'unparks') u
        UNION ALL SELECT (r.v #>> '{}')::uuid FROM rest_list(rest, 'redrives') r
    ) ORDER BY p.id FOR UPDATE;
    PERFORM 1 FROM schedules s WHERE s.id IN (SELECT (c.v #>> '{}')::uuid FROM rest_list(rest, 'cancels') c) ORDER BY s.id FOR UPDATE;

    -- Operators' doings. The counters of consumers are locked like everything else, before the log.
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
    IF EXISTS (SELECT 1 FROM json_array_elements(rest) o
        WHERE o -> 'deliveries' IS NOT NULL OR o -> 'acks' IS NOT NULL OR o -> 'returns' IS NOT NULL) THEN
        PERFORM beat('window');
    END IF;
END $$;

CREATE FUNCTION necrostack.lock_staged() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    PERFORM 1 FROM partitions p JOIN unnest(NEW.c_consumer, NEW.c_partition) c (consumer, partition)
        ON p.consumer = c.consumer AND p.partition = c.partition ORDER BY p.consumer, p.partition FOR UPDATE OF p;
    -- An old snapshot shows here that it is old.
    PERFORM 1 FROM checkpoints k JOIN unnest(NEW.c_consumer, NEW.c_partition) c (consumer, partition)
        ON k.consumer = c.consumer AND k.partition = c.partition
        WHERE k.moved = (SELECT max(m.moved) FROM checkpoints m WHERE m.consumer = c.consumer AND m.partition = c.partition) FOR UPDATE OF k;
    IF NEW.rest IS NOT NULL THEN
        PERFORM lock_rest(NEW.rest, NEW.c_commit);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION necrostack.not_this_log(log text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'NS002', MESSAGE = format('this is not the log %I but %I', log, current_schema());
END $$;

CREATE FUNCTION necrostack.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'events never change: % of % refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION necrostack.refuse_old_snapshot(head bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        RETURN;
    END IF;
    INSERT INTO events VALUES (head + 1, '', head + 1, gen_random_uuid(), '', NULL, '{}', '{}', clock_timestamp(), head + 1);
    RAISE EXCEPTION USING ERRCODE = 'NS000';
EXCEPTION
    WHEN SQLSTATE 'NS000' THEN
        RETURN;
    WHEN unique_violation THEN
        RAISE serialization_failure USING MESSAGE = 'the log has grown since this transaction took its snapshot';
END $$;

CREATE FUNCTION necrostack.release(member text, l_consumer text[], l_partition integer[], l_epoch bigint[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
BEGIN
    IF l_consumer IS NULL THEN
        PERFORM 1 FROM partitions p WHERE p.owner = member ORDER BY p.consumer, p.partition FOR UPDATE;
        UPDATE partitions SET owner = NULL, lost = 0 WHERE owner = member;
        DELETE FROM members WHERE id = member;
    ELSE
        PERFORM 1 FROM partitions p JOIN unnest(l_consumer, l_partition) l (consumer, partition)
            ON p.consumer = l.consumer AND p.partition = l.partition ORDER BY p.consumer, p.partition FOR UPDATE OF p;
        UPDATE partitions p SET owner = NULL, lost = 0 FROM unnest(l_consumer, l_partition, l_epoch) l (consumer, partition, epoch)
        WHERE p.consumer = l.consumer AND p.partition = l.partition AND p.epoch = l.epoch AND p.owner = member;
    END IF;
    PERFORM beat('roster');
END $$;

CREATE FUNCTION necrostack.renew(member text, running text[], ttl interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'necrostack', 'pg_temp'
    AS $$
DECLARE
    before text[] := (SELECT m.consumers FROM members m WHERE m.id = member);
BEGIN
    INSERT INTO members (id, consumers, expires) VALUES (member, running, clock_timestamp() + ttl)
        ON CONFLICT (id) DO UPDATE SET consumers = excluded.consumers, expires = excluded.expires;
    DELETE FROM members m WHERE m.id IN (
        SELECT d.id FROM members d WHERE d.expires < clock_timestamp() AND d.id <> member ORDER BY d.id FOR UPDATE SKIP LOCKED);
    IF FOUND OR before IS DISTINCT FROM running THEN
        PERFORM beat('roster');
    END IF;
END $$;

CREATE FUNCTION necrostack.rest_gone(rest json) RETURNS TABLE(commit integer, about json)
    LANGUAGE sql STABLE
    AS $$
    SELECT a.commit, json_build_object('consumer', a.v ->> 'consumer', 'entry', a.v ->> 'id')
    FROM (SELECT * FROM rest_list(rest, 'acks') UNION ALL SELECT * FROM rest_list(rest, 'returns')) a
    WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.consumer = a.v ->> 'consumer' AND d.id = (a.v ->> 'id')::uuid
        AND d.attempt = (a.v ->> 'attempt')::integer AND d.held)
    UNION ALL
    SELECT u.commit, json_build_object('entry', u.v #>> '{}') FROM rest_list(rest, 'unparks') u
    WHERE NOT EXISTS (SELECT 1 FROM parked p WHERE p.id = (u.v #>> '{}')::uuid)
$$;

CREATE FUNCTION necrostack.rest_list(rest json, kind text) RETURNS TABLE(commit integer, v json, ord bigint)
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT o.commit, l.v, l.ord
    FROM (SELECT (r ->> 'commit')::integer AS commit, r -> kind AS list FROM json_array_elements(rest) r OFFSET 0) o,
        json_array_elements(o.list) WITH ORDINALITY l (v, ord)
$$;

CREATE FUNCTION necrostack.rest_schedules(rest json) RETURNS TABLE(commit integer, ord bigint, id uuid, due timestamp with time zone, stream text, events json)
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT s.commit, s.ord, (s.v ->> 'id')::uuid, (s.v ->> 'due')::timestamptz, s.v ->> 'stream', s.v -> 'events'
    FROM rest_list(rest, 'schedules') s
$$;

CREATE FUNCTION necrostack.sent_before(k integer, s_stream text[], e_commit integer[], e_stream integer[], e_id uuid[], rest json) RETURNS json
    LANGUAGE plpgsql STABLE
    AS $$
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

CREATE FUNCTION necrostack.write_entries(o json, now timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION necrostack.write_events(head bigint, s_stream text[], s_version bigint[], e_place integer[], e_stream integer[], e_nth integer[], e_first integer[], e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    now timestamptz := greatest(clock_timestamp(), (SELECT e.time FROM events e WHERE e.position = head));
BEGIN
    INSERT INTO events (position, stream, version, id, type, tags, data, metadata, time, first)
    SELECT head + coalesce(e.place, e.ord), s_stream[e.stream], s_version[e.stream] + e.nth,
        e.id, e.type, e.tags, e.data, e.metadata, now, head + coalesce(e_place[e.first], e.first)
    FROM unnest(e_stream, e_nth, e_first, e_id, e_type, e_tags, e_data, e_metadata, e_place)
        WITH ORDINALITY e (stream, nth, first, id, type, tags, data, metadata, place, ord)
    WHERE e.place IS DISTINCT FROM 0;

    IF e_tags IS NOT NULL THEN
        INSERT INTO event_tags (tag, position, type)
        SELECT t.tag, head + coalesce(e.place, e.ord), e.type
        FROM unnest(e_type, e_tags, e_place) WITH ORDINALITY e (type, tags, place, ord), json_array_elements_text(e.tags) t (tag)
        WHERE e.place IS DISTINCT FROM 0;
    END IF;
END $$;

CREATE FUNCTION necrostack.write_rest(rest json, now timestamp with time zone, refused boolean[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    o json;
BEGIN
    FOR o IN SELECT v FROM json_array_elements(rest) v LOOP
        CONTINUE WHEN refused[(o ->> 'commit')::integer];
        IF o -> 'cancels' IS NOT NULL THEN
            UPDATE schedules s SET due = NULL, events = NULL
            WHERE s.due IS NOT NULL AND s.id IN (SELECT v::uuid FROM json_array_elements_text(o -> 'cancels') v);
        END IF;
        IF o -> 'schedules' IS NOT NULL THEN
            INSERT INTO schedules (id, batch, size, due, stream, events)
            SELECT q.id, first_value(q.id) OVER (ORDER BY q.ord), count(*) OVER (), q.due, q.stream, q.events
            FROM rest_schedules(json_build_array(o)) q ORDER BY q.ord;
            INSERT INTO reserved SELECT (e ->> 'id')::uuid FROM rest_schedules(json_build_array(o)) q, json_array_elements(q.events) e;
        END IF;
        PERFORM write_entries(o, now);
    END LOOP;
END $$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE necrostack.checkpoints (
    consumer text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    moved bigint NOT NULL,
    "position" bigint NOT NULL
);

CREATE TABLE necrostack.consumers (
    name text NOT NULL COLLATE pg_catalog."C",
    definition json NOT NULL,
    generation bigint NOT NULL,
    competing boolean NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    redrives bigint DEFAULT 0 NOT NULL
);

CREATE TABLE necrostack.deliveries (
    consumer text NOT NULL COLLATE pg_catalog."C",
    id uuid NOT NULL,
    "position" bigint NOT NULL,
    event uuid NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    held boolean DEFAULT false NOT NULL,
    failures json DEFAULT '[]'::json NOT NULL,
    due timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL
);

CREATE TABLE necrostack.event_tags (
    tag text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE necrostack.events (
    "position" bigint NOT NULL,
    stream text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL COLLATE pg_catalog."C",
    tags json,
    data json NOT NULL,
    metadata json NOT NULL,
    "time" timestamp with time zone NOT NULL,
    first bigint NOT NULL
);

CREATE TABLE necrostack.listeners (
    id uuid NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE TABLE necrostack.members (
    id text NOT NULL COLLATE pg_catalog."C",
    consumers text[] NOT NULL COLLATE pg_catalog."C",
    expires timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE necrostack.parked (
    id uuid NOT NULL,
    consumer text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    event uuid NOT NULL,
    attempts integer NOT NULL,
    failures json NOT NULL,
    due timestamp with time zone,
    redriven boolean NOT NULL,
    at timestamp with time zone NOT NULL
);

CREATE TABLE necrostack.partitions (
    consumer text NOT NULL COLLATE pg_catalog."C",
    partition integer NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    owner text COLLATE pg_catalog."C",
    lost integer DEFAULT 0 NOT NULL,
    stood bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE necrostack.pulse_locks (
    name text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE necrostack.pulses (
    name text NOT NULL COLLATE pg_catalog."C",
    beat bigint NOT NULL
);

CREATE TABLE necrostack.reserved (
    id uuid NOT NULL
);

CREATE TABLE necrostack.schedules (
    id uuid NOT NULL,
    made bigint NOT NULL,
    batch uuid NOT NULL,
    size integer NOT NULL,
    due timestamp with time zone,
    stream text NOT NULL COLLATE pg_catalog."C",
    events json
);

ALTER TABLE necrostack.schedules ALTER COLUMN made ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME necrostack.schedules_made_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE necrostack.schema_migrations (
    version bigint NOT NULL,
    dirty boolean NOT NULL
);

CREATE TABLE necrostack.snapshots (
    fold text NOT NULL COLLATE pg_catalog."C",
    stream text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    data json NOT NULL
);

CREATE UNLOGGED TABLE necrostack.staged (
    id bigint NOT NULL,
    s_stream text[],
    x_commit integer[],
    x_stream integer[],
    x_least bigint[],
    x_most bigint[],
    e_commit integer[],
    e_stream integer[],
    e_nth integer[],
    e_first integer[],
    e_id uuid[],
    e_type text[],
    e_tags json[],
    e_data json[],
    e_metadata json[],
    c_commit integer[],
    c_consumer text[],
    c_partition integer[],
    c_epoch bigint[],
    c_from bigint[],
    c_to bigint[],
    u_commit integer[],
    u_after bigint[],
    i_condition integer[],
    i_stream text[],
    i_category text[],
    i_types json[],
    i_tags json[],
    rest json
);

ALTER TABLE necrostack.staged ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME necrostack.staged_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

INSERT INTO necrostack.checkpoints VALUES ('resting', 0, 0, 0);
INSERT INTO necrostack.checkpoints VALUES ('lanes', 0, 1, 8);
INSERT INTO necrostack.checkpoints VALUES ('lanes', 1, 1, 9);
INSERT INTO necrostack.checkpoints VALUES ('lanes', 2, 1, 10);
INSERT INTO necrostack.checkpoints VALUES ('workers', 0, 1, 3);

INSERT INTO necrostack.consumers VALUES ('workers', '{"partitions":1,"keys":0,"hash":"fnv1a","listens":["account opened"],"competing":true,"until":0,"next":"","former":null}', 1, true, false, 0);
INSERT INTO necrostack.consumers VALUES ('resting', '{"partitions":1,"keys":2,"hash":"fnv1a","listens":null,"competing":false,"until":0,"next":"","former":null}', 1, false, true, 0);
INSERT INTO necrostack.consumers VALUES ('lanes', '{"partitions":3,"keys":0,"hash":"fnv1a","listens":["deposited","withdrawn"],"competing":false,"until":0,"next":"","former":["89336c1ed11927b585c29cba4a9fd360"]}', 2, false, false, 1);

INSERT INTO necrostack.deliveries VALUES ('workers', 'd7877ea2-8e69-54bc-884e-f5b136fd93d3', 3, '2378c58f-f831-515e-a293-979b01250a2a', 0, false, '[]', '1970-01-01 00:00:00+00');
INSERT INTO necrostack.deliveries VALUES ('workers', '9bb5617e-095d-5767-a3f9-7f9fdda389d6', 1, 'b084c401-6817-5fb6-b2ec-0c8c48dc6c09', 1, true, '[]', '2026-11-25 09:20:07.156733+00');
INSERT INTO necrostack.deliveries VALUES ('workers', '88a2f8a4-fa1f-558a-aa87-9ae4237b6097', 2, '8f5270a4-5cc1-57ee-9252-0439f576b6f9', 1, false, '[{"at":"2023-11-14T22:13:20Z","error":"no such account: ''x''"}]', '1970-01-01 00:00:02+00');

INSERT INTO necrostack.event_tags VALUES ('owner:Ada', 1, 'account opened');
INSERT INTO necrostack.event_tags VALUES ('hot', 8, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:0', 8, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 9, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:0', 9, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 10, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:0', 10, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 11, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:0', 11, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 12, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:0', 12, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 13, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:0', 13, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 14, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:1', 14, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 15, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:1', 15, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 16, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:1', 16, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 17, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:1', 17, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 18, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:1', 18, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 19, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:1', 19, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 20, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:2', 20, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 21, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:2', 21, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 22, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:2', 22, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 23, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:2', 23, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 24, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:2', 24, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 25, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:2', 25, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 26, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:3', 26, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 27, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:3', 27, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 28, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:3', 28, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 29, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:3', 29, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('hot', 30, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('round:3', 30, 'deposited');
INSERT INTO necrostack.event_tags VALUES ('hot', 31, 'withdrawn');
INSERT INTO necrostack.event_tags VALUES ('round:3', 31, 'withdrawn');

INSERT INTO necrostack.events VALUES (1, 'account-1', 1, 'b084c401-6817-5fb6-b2ec-0c8c48dc6c09', 'account opened', '["owner:Ada"]', '{"owner":"Ada","limit":100}', '{"correlation":"b084c401-6817-5fb6-b2ec-0c8c48dc6c09"}', '2026-11-25 09:20:07.111018+00', 1);
INSERT INTO necrostack.events VALUES (2, 'odd', 1, '8f5270a4-5cc1-57ee-9252-0439f576b6f9', 'odd noted', NULL, '{ "spaces" : [1 , 2] }', '{"correlation":"4f7a3820-e7f4-5fd4-a84a-bc9df2b85300","causation":"cccb06a5-4946-56fe-9de2-f3f2722cf530","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","schema":1,"actor":"Ada''s program","user":{"j":"","k":"ü"}}', '2026-11-25 09:20:07.11221+00', 2);
INSERT INTO necrostack.events VALUES (3, 'odd', 2, '2378c58f-f831-515e-a293-979b01250a2a', 'odd noted', NULL, '{"b":1,"a":2,"b":3}', '{"correlation":"4f7a3820-e7f4-5fd4-a84a-bc9df2b85300","causation":"cccb06a5-4946-56fe-9de2-f3f2722cf530","depth":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","schema":2,"actor":"Ada''s program","user":{"j":"","k":"ü"}}', '2026-11-25 09:20:07.113498+00', 3);
INSERT INTO necrostack.events VALUES (4, 'odd', 3, '9e278879-4735-594d-882c-d54c948c7099', 'odd noted', NULL, '"\u0000 \ud83d\ude00 \/"', '{"correlation":"4f7a3820-e7f4-5fd4-a84a-bc9df2b85300","causation":"cccb06a5-4946-56fe-9de2-f3f2722cf530","depth":2,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","schema":1,"actor":"Ada''s program","user":{"j":"","k":"ü"}}', '2026-11-25 09:20:07.113927+00', 4);
INSERT INTO necrostack.events VALUES (5, 'odd', 4, 'b33c4f19-4a37-5a79-afe3-0f9266eaef5f', 'odd noted', NULL, '"żółw 🐢 '' \\ $$ \n"', '{"correlation":"4f7a3820-e7f4-5fd4-a84a-bc9df2b85300","causation":"cccb06a5-4946-56fe-9de2-f3f2722cf530","depth":3,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","schema":2,"actor":"Ada''s program","user":{"j":"","k":"ü"}}', '2026-11-25 09:20:07.114651+00', 5);
INSERT INTO necrostack.events VALUES (6, 'odd', 5, '27384b7e-1eca-5996-9b22-b5fc91ddec31', 'odd noted', NULL, '12345678901234567890.10e3', '{"correlation":"4f7a3820-e7f4-5fd4-a84a-bc9df2b85300","causation":"cccb06a5-4946-56fe-9de2-f3f2722cf530","depth":4,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","schema":1,"actor":"Ada''s program","user":{"j":"","k":"ü"}}', '2026-11-25 09:20:07.115117+00', 6);
INSERT INTO necrostack.events VALUES (7, 'odd', 6, 'ee18e257-8f4b-586f-b10b-84807868bd32', 'odd noted', NULL, 'null', '{"correlation":"4f7a3820-e7f4-5fd4-a84a-bc9df2b85300","causation":"cccb06a5-4946-56fe-9de2-f3f2722cf530","depth":5,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b","schema":2,"actor":"Ada''s program","user":{"j":"","k":"ü"}}', '2026-11-25 09:20:07.117103+00', 7);
INSERT INTO necrostack.events VALUES (8, 'account-1', 2, 'ebb4a63f-9723-57f7-8ea5-239835128eeb', 'deposited', '["hot","round:0"]', '{"amount":0}', '{"correlation":"ebb4a63f-9723-57f7-8ea5-239835128eeb"}', '2026-11-25 09:20:07.120267+00', 8);
INSERT INTO necrostack.events VALUES (9, 'account-1', 3, '503084ea-e273-5ebe-b815-41ae98a3cdbb', 'withdrawn', '["hot","round:0"]', '{"amount":0}', '{"correlation":"503084ea-e273-5ebe-b815-41ae98a3cdbb"}', '2026-11-25 09:20:07.120267+00', 8);
INSERT INTO necrostack.events VALUES (10, 'account-2', 1, '1a246a95-671e-5a17-bd56-3edbfaab5b1c', 'deposited', '["hot","round:0"]', '{"amount":0}', '{"correlation":"1a246a95-671e-5a17-bd56-3edbfaab5b1c"}', '2026-11-25 09:20:07.120267+00', 8);
INSERT INTO necrostack.events VALUES (11, 'account-2', 2, '70ceb22b-a387-5e04-91ad-c7aa0e569dc9', 'withdrawn', '["hot","round:0"]', '{"amount":0}', '{"correlation":"70ceb22b-a387-5e04-91ad-c7aa0e569dc9"}', '2026-11-25 09:20:07.120267+00', 8);
INSERT INTO necrostack.events VALUES (12, 'transfer-1', 1, 'c98fec11-bfbc-5e34-a1d4-ff1780482e23', 'deposited', '["hot","round:0"]', '{"amount":0}', '{"correlation":"c98fec11-bfbc-5e34-a1d4-ff1780482e23"}', '2026-11-25 09:20:07.120267+00', 8);
INSERT INTO necrostack.events VALUES (13, 'transfer-1', 2, '6c238152-ce50-525f-97ad-ea204e320d2d', 'withdrawn', '["hot","round:0"]', '{"amount":0}', '{"correlation":"6c238152-ce50-525f-97ad-ea204e320d2d"}', '2026-11-25 09:20:07.120267+00', 8);
INSERT INTO necrostack.events VALUES (14, 'account-1', 4, '06e7f6c9-f208-5003-b877-8019cc597b2f', 'deposited', '["hot","round:1"]', '{"amount":1}', '{"correlation":"06e7f6c9-f208-5003-b877-8019cc597b2f"}', '2026-11-25 09:20:07.121611+00', 14);
INSERT INTO necrostack.events VALUES (15, 'account-1', 5, '3080ea9c-46ea-504a-b86d-ee08cf90d596', 'withdrawn', '["hot","round:1"]', '{"amount":1}', '{"correlation":"3080ea9c-46ea-504a-b86d-ee08cf90d596"}', '2026-11-25 09:20:07.121611+00', 14);
INSERT INTO necrostack.events VALUES (16, 'account-2', 3, '53858a14-a18b-5809-bbc3-790f1d870f31', 'deposited', '["hot","round:1"]', '{"amount":1}', '{"correlation":"53858a14-a18b-5809-bbc3-790f1d870f31"}', '2026-11-25 09:20:07.121611+00', 14);
INSERT INTO necrostack.events VALUES (17, 'account-2', 4, '54d83b69-84f6-5ee2-8686-d6875b7fc9d1', 'withdrawn', '["hot","round:1"]', '{"amount":1}', '{"correlation":"54d83b69-84f6-5ee2-8686-d6875b7fc9d1"}', '2026-11-25 09:20:07.121611+00', 14);
INSERT INTO necrostack.events VALUES (18, 'transfer-1', 3, 'cf7e3910-024c-5ca2-9079-02d59fe08110', 'deposited', '["hot","round:1"]', '{"amount":1}', '{"correlation":"cf7e3910-024c-5ca2-9079-02d59fe08110"}', '2026-11-25 09:20:07.121611+00', 14);
INSERT INTO necrostack.events VALUES (19, 'transfer-1', 4, '3d101921-ca74-5739-bf4c-3c46b02bb8ba', 'withdrawn', '["hot","round:1"]', '{"amount":1}', '{"correlation":"3d101921-ca74-5739-bf4c-3c46b02bb8ba"}', '2026-11-25 09:20:07.121611+00', 14);
INSERT INTO necrostack.events VALUES (20, 'account-1', 6, '2d3cd6fd-9f11-56d8-9a57-f1217b403a84', 'deposited', '["hot","round:2"]', '{"amount":2}', '{"correlation":"2d3cd6fd-9f11-56d8-9a57-f1217b403a84"}', '2026-11-25 09:20:07.1224+00', 20);
INSERT INTO necrostack.events VALUES (21, 'account-1', 7, '200f0d33-719b-5351-ae57-58099ab17730', 'withdrawn', '["hot","round:2"]', '{"amount":2}', '{"correlation":"200f0d33-719b-5351-ae57-58099ab17730"}', '2026-11-25 09:20:07.1224+00', 20);
INSERT INTO necrostack.events VALUES (22, 'account-2', 5, '794caece-22ce-57d6-aec5-b8d8fb4cdd51', 'deposited', '["hot","round:2"]', '{"amount":2}', '{"correlation":"794caece-22ce-57d6-aec5-b8d8fb4cdd51"}', '2026-11-25 09:20:07.1224+00', 20);
INSERT INTO necrostack.events VALUES (23, 'account-2', 6, '333c2949-f2b3-55ec-b9fd-4cbce9edf31e', 'withdrawn', '["hot","round:2"]', '{"amount":2}', '{"correlation":"333c2949-f2b3-55ec-b9fd-4cbce9edf31e"}', '2026-11-25 09:20:07.1224+00', 20);
INSERT INTO necrostack.events VALUES (24, 'transfer-1', 5, 'db7ed7f3-2bc8-56d1-b59b-150de9b0f86c', 'deposited', '["hot","round:2"]', '{"amount":2}', '{"correlation":"db7ed7f3-2bc8-56d1-b59b-150de9b0f86c"}', '2026-11-25 09:20:07.1224+00', 20);
INSERT INTO necrostack.events VALUES (25, 'transfer-1', 6, '440bd83b-df3d-5a1d-83b3-19adc9358d53', 'withdrawn', '["hot","round:2"]', '{"amount":2}', '{"correlation":"440bd83b-df3d-5a1d-83b3-19adc9358d53"}', '2026-11-25 09:20:07.1224+00', 20);
INSERT INTO necrostack.events VALUES (26, 'account-1', 8, 'd7679e30-f368-53d3-8c13-7b286c862dd2', 'deposited', '["hot","round:3"]', '{"amount":3}', '{"correlation":"d7679e30-f368-53d3-8c13-7b286c862dd2"}', '2026-11-25 09:20:07.122924+00', 26);
INSERT INTO necrostack.events VALUES (27, 'account-1', 9, '77b4121e-38be-5638-a84b-16afcdc80d81', 'withdrawn', '["hot","round:3"]', '{"amount":3}', '{"correlation":"77b4121e-38be-5638-a84b-16afcdc80d81"}', '2026-11-25 09:20:07.122924+00', 26);
INSERT INTO necrostack.events VALUES (28, 'account-2', 7, 'b6e034ca-9653-598e-a068-18ff0a9f8bee', 'deposited', '["hot","round:3"]', '{"amount":3}', '{"correlation":"b6e034ca-9653-598e-a068-18ff0a9f8bee"}', '2026-11-25 09:20:07.122924+00', 26);
INSERT INTO necrostack.events VALUES (29, 'account-2', 8, '50c7b961-c564-588c-bfec-cf3fc26c9e9c', 'withdrawn', '["hot","round:3"]', '{"amount":3}', '{"correlation":"50c7b961-c564-588c-bfec-cf3fc26c9e9c"}', '2026-11-25 09:20:07.122924+00', 26);
INSERT INTO necrostack.events VALUES (30, 'transfer-1', 7, 'fffa595a-331b-52e6-a37f-7bd08d809adc', 'deposited', '["hot","round:3"]', '{"amount":3}', '{"correlation":"fffa595a-331b-52e6-a37f-7bd08d809adc"}', '2026-11-25 09:20:07.122924+00', 26);
INSERT INTO necrostack.events VALUES (31, 'transfer-1', 8, 'ec789678-aceb-5f66-8bc1-58e5b6597bbe', 'withdrawn', '["hot","round:3"]', '{"amount":3}', '{"correlation":"ec789678-aceb-5f66-8bc1-58e5b6597bbe"}', '2026-11-25 09:20:07.122924+00', 26);
INSERT INTO necrostack.events VALUES (32, 'reminder-1', 1, 'a96c7f52-0ebc-5162-83dd-4b01392a8165', 'reminded', NULL, '{}', '{"correlation":"a96c7f52-0ebc-5162-83dd-4b01392a8165"}', '2026-11-25 09:20:07.162474+00', 32);

INSERT INTO necrostack.members VALUES ('old member', '{lanes,workers}', '2126-11-01 09:20:07.138729+00');

INSERT INTO necrostack.parked VALUES ('7a3d00e8-d08a-5576-bae5-74ce9b4fa215', 'lanes', 2, 'account-1', 8, 'ebb4a63f-9723-57f7-8ea5-239835128eeb', 1, '[{"at":"2023-11-14T22:13:20Z","error":"no such account: ''x''"}]', NULL, false, '2026-11-25 09:20:07.151672+00');
INSERT INTO necrostack.parked VALUES ('47341376-5962-5f1b-be71-b87f34a914d6', 'lanes', 2, 'account-1', 9, '503084ea-e273-5ebe-b815-41ae98a3cdbb', 0, '[]', NULL, false, '2026-11-25 09:20:07.151672+00');
INSERT INTO necrostack.parked VALUES ('60b7b7f5-3864-5af8-8ec1-a998fe8e627e', 'lanes', 1, 'account-1', 8, 'ebb4a63f-9723-57f7-8ea5-239835128eeb', 1, '[{"at":"2023-11-14T22:13:20Z","error":"no such account: ''x''"}]', NULL, true, '2026-11-25 09:20:07.149627+00');

INSERT INTO necrostack.partitions VALUES ('resting', 0, 1, NULL, 0, 0);
INSERT INTO necrostack.partitions VALUES ('lanes', 0, 3, 'old member', 0, 0);
INSERT INTO necrostack.partitions VALUES ('lanes', 1, 3, 'old member', 0, 0);
INSERT INTO necrostack.partitions VALUES ('lanes', 2, 3, 'old member', 0, 0);
INSERT INTO necrostack.partitions VALUES ('workers', 0, 1, 'old member', 0, 0);

INSERT INTO necrostack.pulse_locks VALUES ('roster');
INSERT INTO necrostack.pulse_locks VALUES ('window');

INSERT INTO necrostack.pulses VALUES ('roster', 4);
INSERT INTO necrostack.pulses VALUES ('window', 3);

INSERT INTO necrostack.reserved VALUES ('4f5bde30-9337-59e2-b238-e1f29f526bcc');
INSERT INTO necrostack.reserved VALUES ('c1377bd9-58c0-5db0-81e5-67cb107234d5');
INSERT INTO necrostack.reserved VALUES ('291f9f1f-bcb8-5911-8c4d-5947aaf9147f');
INSERT INTO necrostack.reserved VALUES ('a1cbcd40-87b9-59f1-a208-f7536c7c2071');

INSERT INTO necrostack.schedules OVERRIDING SYSTEM VALUE VALUES ('d888857e-c692-5067-b9b3-37bd314a503c', 1, 'd888857e-c692-5067-b9b3-37bd314a503c', 1, NULL, 'reminder-1', NULL);
INSERT INTO necrostack.schedules OVERRIDING SYSTEM VALUE VALUES ('e6888f35-ada5-5730-901e-8164b1a7770f', 2, 'e6888f35-ada5-5730-901e-8164b1a7770f', 3, '1970-01-01 00:00:03+00', 'reminder-1', '[{"id":"4f5bde30-9337-59e2-b238-e1f29f526bcc","type":"reminded","tags":["hot"],"data":"{ \"of\": \"rent\" }","metadata":{"correlation":"4f5bde30-9337-59e2-b238-e1f29f526bcc"}},{"id":"c1377bd9-58c0-5db0-81e5-67cb107234d5","type":"reminded","data":"{}","metadata":{"correlation":"c1377bd9-58c0-5db0-81e5-67cb107234d5"}}]');
INSERT INTO necrostack.schedules OVERRIDING SYSTEM VALUE VALUES ('4111a248-7d6b-584d-b330-f145c4bbdba4', 4, 'e6888f35-ada5-5730-901e-8164b1a7770f', 3, '2400-01-01 00:00:00+00', 'reminder-3', '[{"id":"a1cbcd40-87b9-59f1-a208-f7536c7c2071","type":"reminded","data":"{}","metadata":{"correlation":"a1cbcd40-87b9-59f1-a208-f7536c7c2071"}}]');
INSERT INTO necrostack.schedules OVERRIDING SYSTEM VALUE VALUES ('a162bc5a-1b17-5926-b6ad-502a207a14ec', 3, 'e6888f35-ada5-5730-901e-8164b1a7770f', 3, NULL, 'reminder-2', NULL);

INSERT INTO necrostack.schema_migrations VALUES (8, false);

INSERT INTO necrostack.snapshots VALUES ('balance.1', 'account-2', 1, '{"balance": 1.50}');
INSERT INTO necrostack.snapshots VALUES ('balance.1', 'account-1', 2, '{"balance": 1.50}');

SELECT pg_catalog.setval('necrostack.schedules_made_seq', 4, true);

SELECT pg_catalog.setval('necrostack.staged_id_seq', 1, false);

ALTER TABLE ONLY necrostack.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (consumer, partition, moved);

ALTER TABLE ONLY necrostack.consumers
    ADD CONSTRAINT consumers_pkey PRIMARY KEY (name);

ALTER TABLE ONLY necrostack.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (consumer, id);

ALTER TABLE ONLY necrostack.event_tags
    ADD CONSTRAINT event_tags_pkey PRIMARY KEY (tag, "position") INCLUDE (type);

ALTER TABLE ONLY necrostack.events
    ADD CONSTRAINT events_id UNIQUE (id);

ALTER TABLE ONLY necrostack.events
    ADD CONSTRAINT events_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY necrostack.events
    ADD CONSTRAINT events_version UNIQUE (stream, version);

ALTER TABLE ONLY necrostack.listeners
    ADD CONSTRAINT listeners_pkey PRIMARY KEY (id);

ALTER TABLE ONLY necrostack.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (id);

ALTER TABLE ONLY necrostack.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (id);

ALTER TABLE ONLY necrostack.partitions
    ADD CONSTRAINT partitions_pkey PRIMARY KEY (consumer, partition);

ALTER TABLE ONLY necrostack.pulse_locks
    ADD CONSTRAINT pulse_locks_pkey PRIMARY KEY (name);

ALTER TABLE ONLY necrostack.pulses
    ADD CONSTRAINT pulses_pkey PRIMARY KEY (name, beat);

ALTER TABLE ONLY necrostack.reserved
    ADD CONSTRAINT reserved_pkey PRIMARY KEY (id);

ALTER TABLE ONLY necrostack.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY necrostack.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY necrostack.snapshots
    ADD CONSTRAINT snapshots_pkey PRIMARY KEY (fold, stream);

ALTER TABLE ONLY necrostack.staged
    ADD CONSTRAINT staged_pkey PRIMARY KEY (id);

CREATE INDEX deliveries_position ON necrostack.deliveries USING btree (consumer, "position");

CREATE INDEX events_category ON necrostack.events USING btree (split_part(stream, '-'::text, 1), "position");

CREATE INDEX events_type ON necrostack.events USING btree (type, "position");

CREATE INDEX parked_consumer ON necrostack.parked USING btree (consumer, "position", key);

CREATE INDEX schedules_due ON necrostack.schedules USING btree (due, made) WHERE (due IS NOT NULL);

CREATE CONSTRAINT TRIGGER commit AFTER INSERT ON necrostack.staged DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION necrostack.commit_staged();

CREATE TRIGGER immutable BEFORE DELETE OR UPDATE OR TRUNCATE ON necrostack.event_tags FOR EACH STATEMENT EXECUTE FUNCTION necrostack.refuse_change();

CREATE TRIGGER immutable BEFORE DELETE OR UPDATE OR TRUNCATE ON necrostack.events FOR EACH STATEMENT EXECUTE FUNCTION necrostack.refuse_change();

CREATE TRIGGER lock BEFORE INSERT ON necrostack.staged FOR EACH ROW EXECUTE FUNCTION necrostack.lock_staged();

ALTER TABLE ONLY necrostack.partitions
    ADD CONSTRAINT partitions_consumer_fkey FOREIGN KEY (consumer) REFERENCES necrostack.consumers(name);
