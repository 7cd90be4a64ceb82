-- The log, its consumers, and what waits. Everything lives in one schema, which is first in the search path of
-- whoever runs this.

CREATE TABLE events (
    position bigint      PRIMARY KEY,
    stream   text        COLLATE "C" NOT NULL,
    version  bigint      NOT NULL,
    id       uuid        NOT NULL CONSTRAINT events_id UNIQUE,
    type     text        COLLATE "C" NOT NULL,
    tags     json,                 -- null: none
    data     json        NOT NULL, -- json keeps every byte; jsonb does not, and is read more slowly
    metadata json        NOT NULL,
    time     timestamptz NOT NULL,
    first    bigint      NOT NULL, -- position of the first event of the same commit
    CONSTRAINT events_version UNIQUE (stream, version)
);

CREATE INDEX events_type ON events (type, position);
CREATE INDEX events_category ON events (split_part(stream, '-', 1), position);

-- Only events with tags pay for it.
CREATE TABLE event_tags (
    tag      text   COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    type     text   COLLATE "C" NOT NULL,
    PRIMARY KEY (tag, position) INCLUDE (type)
);

CREATE TABLE consumers (
    name       text    COLLATE "C" PRIMARY KEY,
    definition json    NOT NULL,
    generation bigint  NOT NULL,
    competing  boolean NOT NULL,
    paused     boolean NOT NULL DEFAULT false,
    redrives   bigint  NOT NULL DEFAULT 0
);

CREATE TABLE partitions (
    consumer  text    COLLATE "C" NOT NULL REFERENCES consumers,
    partition integer NOT NULL,
    epoch     bigint  NOT NULL DEFAULT 0,
    position  bigint  NOT NULL DEFAULT 0,
    owner     text    COLLATE "C",
    lost      integer NOT NULL DEFAULT 0, -- owners in a row that were lost without its moving
    PRIMARY KEY (consumer, partition)
) WITH (fillfactor = 50);

CREATE TABLE members (
    id        text        COLLATE "C" PRIMARY KEY,
    consumers text[]      COLLATE "C" NOT NULL,
    expires   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- One row. Readers look at it to see whether anything but the head has changed.
CREATE TABLE pulse (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    roster bigint  NOT NULL DEFAULT 0,
    win    bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO pulse DEFAULT VALUES;

CREATE TABLE schedules (
    id     uuid        PRIMARY KEY,
    made   bigint      GENERATED ALWAYS AS IDENTITY,
    batch  uuid        NOT NULL, -- the first schedule of the same commit
    size   integer     NOT NULL, -- how many these are
    due    timestamptz,          -- null: it has fired or was cancelled; its id is never used again
    stream text        COLLATE "C" NOT NULL,
    events json                  -- null like due
);
CREATE INDEX schedules_due ON schedules (due, made) WHERE due IS NOT NULL;

-- Ids of scheduled events, so that nobody else uses them.
CREATE TABLE reserved (
    id uuid PRIMARY KEY
);

CREATE TABLE parked (
    id        uuid        PRIMARY KEY,
    consumer  text        COLLATE "C" NOT NULL,
    partition integer     NOT NULL,
    key       text        COLLATE "C" NOT NULL,
    position  bigint      NOT NULL,
    event     uuid        NOT NULL,
    attempts  integer     NOT NULL,
    failures  json        NOT NULL,
    due       timestamptz,
    redriven  boolean     NOT NULL,
    at        timestamptz NOT NULL
);
CREATE INDEX parked_consumer ON parked (consumer, position, key);

CREATE TABLE deliveries (
    consumer text        COLLATE "C" NOT NULL,
    id       uuid        NOT NULL,
    position bigint      NOT NULL,
    event    uuid        NOT NULL,
    attempt  integer     NOT NULL DEFAULT 0,
    held     boolean     NOT NULL DEFAULT false, -- its last attempt is not settled
    failures json        NOT NULL DEFAULT '[]',
    due      timestamptz NOT NULL DEFAULT '1970-01-01Z',
    PRIMARY KEY (consumer, id)
);
CREATE INDEX deliveries_position ON deliveries (consumer, position);

CREATE TABLE snapshots (
    fold    text   COLLATE "C" NOT NULL,
    stream  text   COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    data    json   NOT NULL,
    PRIMARY KEY (fold, stream)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events never change: % of % refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON event_tags FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- lock_log takes the one lock that puts commits into order, until the transaction ends. It is the last lock that a
-- transaction takes.
CREATE FUNCTION lock_log() RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS
    $$ SELECT pg_advisory_xact_lock(1313166925, 'events'::regclass::oid::bigint::bit(32)::integer) $$;

-- write_events appends events of one or many commits. It must be called under the log's lock, in a statement after the
-- one that took it. Every array has an element for each event, in order; tags are JSON arrays.
CREATE FUNCTION write_events(
    head bigint, e_commit integer[], e_stream text[], e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[]
) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    now timestamptz := greatest(clock_timestamp(), (SELECT e.time FROM events e WHERE e.position = head));
BEGIN
    INSERT INTO events (position, stream, version, id, type, tags, data, metadata, time, first)
    SELECT head + u.ord, u.stream, coalesce(v.version, 0) + row_number() OVER (PARTITION BY u.stream ORDER BY u.ord),
        u.id, u.type, u.tags, u.data, u.metadata, now, head + min(u.ord) OVER (PARTITION BY u.commit)
    FROM unnest(e_commit, e_stream, e_id, e_type, e_tags, e_data, e_metadata)
        WITH ORDINALITY u (commit, stream, id, type, tags, data, metadata, ord)
    LEFT JOIN LATERAL (SELECT e.version FROM events e WHERE e.stream = u.stream ORDER BY e.version DESC LIMIT 1) v ON true;

    INSERT INTO event_tags (tag, position, type)
    SELECT t.tag, head + u.ord, u.type
    FROM unnest(e_type, e_tags) WITH ORDINALITY u (type, tags, ord), json_array_elements_text(u.tags) t (tag)
    WHERE u.tags IS NOT NULL;
END $$;

-- broken returns, for each condition that an event after its position and up to head breaks, the first such event.
-- Items are alternatives of conditions: types and tags are JSON arrays or null. Both ends of the range stand on every
-- table that is read, so that each shape is served by one index.
CREATE FUNCTION broken(
    head bigint, x_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[]
) RETURNS TABLE (condition integer, at bigint) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
    SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT i.condition, min(found.position) FROM (
        SELECT u.condition, u.stream, u.category, x_after[u.condition] AS after,
            CASE WHEN u.types IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(u.types)) END AS types,
            CASE WHEN u.tags IS NOT NULL THEN ARRAY(SELECT json_array_elements_text(u.tags)) END AS tags
        FROM unnest(i_condition, i_stream, i_category, i_types, i_tags) u (condition, stream, category, types, tags)
    ) i
    CROSS JOIN LATERAL (
        (SELECT e.position FROM events e
            WHERE i.stream IS NOT NULL AND e.stream = i.stream AND e.position > i.after AND e.position <= head
            AND (i.category IS NULL OR split_part(e.stream, '-', 1) = i.category)
            AND (i.types IS NULL OR e.type = ANY (i.types))
            AND (i.tags IS NULL OR NOT EXISTS (SELECT 1 FROM unnest(i.tags) w (tag) WHERE NOT EXISTS
                (SELECT 1 FROM event_tags t WHERE t.tag = w.tag AND t.position = e.position)))
            ORDER BY e.version LIMIT 1)
        UNION ALL
        (SELECT g.position FROM event_tags g
            WHERE i.stream IS NULL AND i.tags IS NOT NULL AND g.tag = i.tags[1] AND g.position > i.after AND g.position <= head
            AND (i.types IS NULL OR g.type = ANY (i.types))
            AND NOT EXISTS (SELECT 1 FROM unnest(i.tags[2:]) w (tag) WHERE NOT EXISTS
                (SELECT 1 FROM event_tags t WHERE t.tag = w.tag AND t.position = g.position))
            AND (i.category IS NULL OR EXISTS (SELECT 1 FROM events e
                WHERE e.position = g.position AND split_part(e.stream, '-', 1) = i.category))
            ORDER BY g.position LIMIT 1)
        UNION ALL
        (SELECT f.position FROM unnest(i.types) y (type)
            CROSS JOIN LATERAL (SELECT e.position FROM events e
                WHERE i.stream IS NULL AND i.tags IS NULL AND e.type = y.type AND e.position > i.after AND e.position <= head
                AND (i.category IS NULL OR split_part(e.stream, '-', 1) = i.category)
                ORDER BY e.position LIMIT 1) f
            ORDER BY f.position LIMIT 1)
        UNION ALL
        (SELECT e.position FROM events e
            WHERE i.stream IS NULL AND i.tags IS NULL AND i.types IS NULL AND i.category IS NOT NULL
            AND split_part(e.stream, '-', 1) = i.category AND e.position > i.after AND e.position <= head
            ORDER BY e.position LIMIT 1)
        UNION ALL
        (SELECT i.after + 1 WHERE i.stream IS NULL AND i.tags IS NULL AND i.types IS NULL AND i.category IS NULL AND i.after < head)
    ) found
    GROUP BY i.condition;
END $$;

-- commit_batch decides each of n commits by itself, and returns one row for each. Arrays have an element for each
-- event, append, checkpoint, condition and item; rest has whatever is rare. Rows are locked first, in the order of
-- their keys; the log's lock comes last. A code other than null means that nothing of the commit was written.
CREATE FUNCTION commit_batch(
    n integer,
    e_append integer[], e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[],
    a_commit integer[], a_stream text[], a_least bigint[], a_most bigint[],
    c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[],
    x_commit integer[], x_after bigint[],
    i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[],
    rest json
) RETURNS TABLE (commit integer, code text, detail json, versions bigint[], last bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    codes   text[] := array_fill(NULL::text, ARRAY[n]);
    details json[] := array_fill(NULL::json, ARRAY[n]);
    firsts  bigint[] := array_fill(NULL::bigint, ARRAY[n]); -- where a commit that was sent before begins; 0: nowhere
    head    bigint;
    r       record;
    k       integer;
    now     timestamptz;
BEGIN
    PERFORM 1 FROM partitions p WHERE (p.consumer, p.partition) IN (SELECT u.c, u.p FROM unnest(c_consumer, c_partition) u (c, p))
        ORDER BY p.consumer, p.partition FOR UPDATE;
    IF rest IS NOT NULL THEN
        PERFORM lock_rest(rest);
    END IF;
    IF cardinality(e_id) > 0 OR rest IS NOT NULL THEN
        PERFORM lock_log();
    END IF;
    SELECT coalesce(max(e.position), 0) INTO head FROM events e;

    -- Ids: whatever names a known one is the same commit again, or refused.
    FOR r IN
        SELECT c.commit, sent_before(c.commit, head, a_commit, a_stream, e_append, e_id, rest) AS first
        FROM (
            SELECT a_commit[u.append] AS commit FROM unnest(e_append, e_id) u (append, id)
                WHERE EXISTS (SELECT 1 FROM events e WHERE e.id = u.id) OR EXISTS (SELECT 1 FROM reserved s WHERE s.id = u.id)
            UNION
            SELECT q.commit FROM rest_schedules(rest) q
                WHERE EXISTS (SELECT 1 FROM schedules s WHERE s.id = q.id)
                OR EXISTS (SELECT 1 FROM json_array_elements(q.events) v, events e WHERE e.id = (v ->> 'id')::uuid)
                OR EXISTS (SELECT 1 FROM json_array_elements(q.events) v, reserved s WHERE s.id = (v ->> 'id')::uuid)
        ) c
    LOOP
        IF r.first IS NULL OR EXISTS (
            SELECT 1 FROM unnest(c_commit, c_consumer, c_partition, c_to) c (commit, consumer, partition, upto)
            LEFT JOIN partitions p ON p.consumer = c.consumer AND p.partition = c.partition
            WHERE c.commit = r.commit AND (p.position IS NULL OR p.position < c.upto)
        ) THEN
            codes[r.commit] := 'reused';
        ELSE
            firsts[r.commit] := r.first;
        END IF;
    END LOOP;

    -- Fences.
    FOR r IN
        SELECT c.commit,
            bool_or(p.epoch IS DISTINCT FROM c.epoch) AS fenced,
            count(*) FILTER (WHERE c.since <> c.upto) AS moves,
            count(*) FILTER (WHERE c.since <> c.upto AND p.position = c.upto) AS done,
            bool_or(p.position <> c.since AND NOT (c.since <> c.upto AND p.position = c.upto)) AS elsewhere,
            (array_agg(json_build_object('consumer', c.consumer, 'partition', c.partition, 'epoch', c.epoch,
                'now', p.epoch, 'position', p.position, 'from', c.since)
                ORDER BY p.epoch IS DISTINCT FROM c.epoch DESC,
                    (p.position <> c.since AND NOT (c.since <> c.upto AND p.position = c.upto)) DESC NULLS LAST, c.ord))[1] AS about
        FROM unnest(c_commit, c_consumer, c_partition, c_epoch, c_from, c_to)
            WITH ORDINALITY c (commit, consumer, partition, epoch, since, upto, ord)
        LEFT JOIN partitions p ON p.consumer = c.consumer AND p.partition = c.partition
        GROUP BY c.commit
    LOOP
        IF codes[r.commit] IS NOT NULL OR firsts[r.commit] IS NOT NULL THEN
            CONTINUE;
        ELSIF r.fenced OR r.elsewhere THEN
            codes[r.commit] := 'fenced';
            details[r.commit] := r.about;
        ELSIF r.moves > 0 AND r.done = r.moves AND NOT r.commit = ANY (a_commit)
            AND NOT EXISTS (SELECT 1 FROM rest_schedules(rest) q WHERE q.commit = r.commit) THEN
            firsts[r.commit] := 0;
        ELSIF r.done > 0 THEN
            codes[r.commit] := 'fenced';
            details[r.commit] := r.about;
        END IF;
    END LOOP;
    IF rest IS NOT NULL THEN
        FOR r IN SELECT * FROM rest_gone(rest) LOOP
            IF codes[r.commit] IS NULL AND firsts[r.commit] IS NULL THEN
                codes[r.commit] := 'gone';
                details[r.commit] := r.about;
            END IF;
        END LOOP;
    END IF;

    -- Expectations, then conditions.
    FOR r IN
        SELECT a.commit, a.ord, a.stream, coalesce(v.version, 0) AS version
        FROM unnest(a_commit, a_stream, a_least, a_most) WITH ORDINALITY a (commit, stream, least, most, ord)
        LEFT JOIN LATERAL (SELECT e.version FROM events e WHERE e.stream = a.stream ORDER BY e.version DESC LIMIT 1) v ON true
        WHERE NOT coalesce(v.version, 0) BETWEEN a.least AND a.most
        ORDER BY a.ord
    LOOP
        IF codes[r.commit] IS NULL AND firsts[r.commit] IS NULL THEN
            codes[r.commit] := 'conflict';
            details[r.commit] := json_build_object('append', r.ord, 'version', r.version);
        END IF;
    END LOOP;
    IF cardinality(x_after) > 0 THEN
        FOR r IN SELECT * FROM broken(head, x_after, i_condition, i_stream, i_category, i_types, i_tags) ORDER BY condition LOOP
            k := x_commit[r.condition];
            IF codes[k] IS NULL AND firsts[k] IS NULL THEN
                codes[k] := 'condition';
                details[k] := json_build_object('condition', r.condition, 'position', r.at);
            END IF;
        END LOOP;
    END IF;

    -- What is left is written.
    IF cardinality(e_id) > 0 THEN
        PERFORM write_events(head, array_agg(u.commit ORDER BY u.ord), array_agg(u.stream ORDER BY u.ord), array_agg(u.id ORDER BY u.ord),
            array_agg(u.type ORDER BY u.ord), array_agg(u.tags ORDER BY u.ord), array_agg(u.data ORDER BY u.ord),
            array_agg(u.metadata ORDER BY u.ord))
        FROM (
            SELECT a_commit[e.append] AS commit, a_stream[e.append] AS stream, e.*
            FROM unnest(e_append, e_id, e_type, e_tags, e_data, e_metadata) WITH ORDINALITY e (append, id, type, tags, data, metadata, ord)
        ) u
        WHERE codes[u.commit] IS NULL AND firsts[u.commit] IS NULL
        HAVING count(*) > 0;
    END IF;
    now := greatest(clock_timestamp(), (SELECT e.time FROM events e WHERE e.position = head));
    IF rest IS NOT NULL THEN
        PERFORM write_rest(rest, now, (SELECT array_agg(i) FROM generate_series(1, n) i WHERE codes[i] IS NULL AND firsts[i] IS NULL), c_commit);
    END IF;
    UPDATE partitions p SET position = c.upto, lost = CASE WHEN p.position = c.upto THEN p.lost ELSE 0 END
    FROM unnest(c_commit, c_consumer, c_partition, c_from, c_to) c (commit, consumer, partition, since, upto)
    WHERE p.consumer = c.consumer AND p.partition = c.partition AND c.since <> c.upto
        AND codes[c.commit] IS NULL AND firsts[c.commit] IS NULL;

    RETURN QUERY
    SELECT o.i, codes[o.i], details[o.i], v.versions, v.last
    FROM generate_series(1, n) o (i)
    LEFT JOIN (
        SELECT w.commit, array_agg(w.version ORDER BY w.append) AS versions, max(w.last) AS last FROM (
            SELECT a_commit[u.append] AS commit, u.append, max(e.version) AS version, max(e.position) AS last
            FROM unnest(e_append, e_id) u (append, id) JOIN events e ON e.id = u.id
            GROUP BY u.append
        ) w GROUP BY w.commit
    ) v ON v.commit = o.i AND codes[o.i] IS NULL
    ORDER BY o.i;
END $$;

-- sent_before returns where the events of a commit begin if it was written before, 0 if it had none, and null if
-- it is not the same commit.
CREATE FUNCTION sent_before(
    k integer, head bigint, a_commit integer[], a_stream text[], e_append integer[], e_id uuid[], rest json
) RETURNS bigint LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    r record;
    s record;
BEGIN
    SELECT count(*) AS n, count(e.position) AS known, min(e.position) AS first,
        bool_and(e.stream = a_stream[u.append]) AS streams, bool_and(e.position - u.ord = d.base) AS together, max(e.first) AS began
    INTO r
    FROM (SELECT x.append, x.id, row_number() OVER (ORDER BY x.ord) AS ord
        FROM unnest(e_append, e_id) WITH ORDINALITY x (append, id, ord) WHERE a_commit[x.append] = k) u
    LEFT JOIN events e ON e.id = u.id
    LEFT JOIN LATERAL (SELECT f.position - 1 AS base FROM unnest(e_append, e_id) WITH ORDINALITY x (append, id, ord)
        JOIN events f ON f.id = x.id WHERE a_commit[x.append] = k ORDER BY x.ord LIMIT 1) d ON true;
    SELECT count(*) AS n, count(h.id) AS known, count(DISTINCT h.batch) AS batches, min(h.size) AS size INTO s
    FROM rest_schedules(rest) q LEFT JOIN schedules h ON h.id = q.id WHERE q.commit = k;
    IF r.n > 0 THEN
        IF r.known = r.n AND r.streams AND r.together AND r.began = r.first AND s.known = s.n
            AND NOT EXISTS (SELECT 1 FROM events e WHERE e.position = r.first + r.n AND e.first = r.first) THEN
            RETURN r.first;
        END IF;
        RETURN NULL;
    END IF;
    IF s.n > 0 AND s.known = s.n AND s.batches = 1 AND s.size = s.n THEN
        RETURN 0;
    END IF;
    RETURN NULL;
END $$;

-- rest is an array of objects: commit, and any of deliveries, acks, returns, parks, unparks, redrives, schedules, cancels.

CREATE FUNCTION rest_schedules(rest json) RETURNS TABLE (commit integer, ord bigint, id uuid, due timestamptz, stream text, events json)
LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS $$
    SELECT (o ->> 'commit')::integer, s.ord, (s.v ->> 'id')::uuid, (s.v ->> 'due')::timestamptz, s.v ->> 'stream', s.v -> 'events'
    FROM json_array_elements(rest) o, json_array_elements(o -> 'schedules') WITH ORDINALITY s (v, ord)
    WHERE o -> 'schedules' IS NOT NULL
$$;

CREATE FUNCTION lock_rest(rest json) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM deliveries d WHERE d.id IN (
        SELECT (v ->> 'id')::uuid FROM json_array_elements(rest) o, json_array_elements(o -> 'acks') v WHERE o -> 'acks' IS NOT NULL
        UNION ALL
        SELECT (v ->> 'id')::uuid FROM json_array_elements(rest) o, json_array_elements(o -> 'returns') v WHERE o -> 'returns' IS NOT NULL
    ) ORDER BY d.consumer, d.id FOR UPDATE;
    PERFORM 1 FROM parked p WHERE p.id IN (
        SELECT (v ->> 'id')::uuid FROM json_array_elements(rest) o, json_array_elements(o -> 'parks') v WHERE o -> 'parks' IS NOT NULL
        UNION ALL
        SELECT v::uuid FROM json_array_elements(rest) o, json_array_elements_text(o -> 'unparks') v WHERE o -> 'unparks' IS NOT NULL
        UNION ALL
        SELECT v::uuid FROM json_array_elements(rest) o, json_array_elements_text(o -> 'redrives') v WHERE o -> 'redrives' IS NOT NULL
    ) ORDER BY p.id FOR UPDATE;
    PERFORM 1 FROM schedules s WHERE s.id IN (
        SELECT v::uuid FROM json_array_elements(rest) o, json_array_elements_text(o -> 'cancels') v WHERE o -> 'cancels' IS NOT NULL
    ) ORDER BY s.id FOR UPDATE;
END $$;

-- rest_gone lists deliveries that are not the committer's any more, and parked entries that are gone.
CREATE FUNCTION rest_gone(rest json) RETURNS TABLE (commit integer, about json)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT (o ->> 'commit')::integer, json_build_object('consumer', a.v ->> 'consumer', 'entry', a.v ->> 'id')
    FROM json_array_elements(rest) o, json_array_elements(coalesce(o -> 'acks', '[]')) WITH ORDINALITY a (v, ord)
    WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.consumer = a.v ->> 'consumer' AND d.id = (a.v ->> 'id')::uuid
        AND d.attempt = (a.v ->> 'attempt')::integer AND d.held)
    UNION ALL
    SELECT (o ->> 'commit')::integer, json_build_object('consumer', a.v ->> 'consumer', 'entry', a.v ->> 'id')
    FROM json_array_elements(rest) o, json_array_elements(coalesce(o -> 'returns', '[]')) WITH ORDINALITY a (v, ord)
    WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.consumer = a.v ->> 'consumer' AND d.id = (a.v ->> 'id')::uuid
        AND d.attempt = (a.v ->> 'attempt')::integer AND d.held)
    UNION ALL
    SELECT (o ->> 'commit')::integer, json_build_object('entry', u)
    FROM json_array_elements(rest) o, json_array_elements_text(coalesce(o -> 'unparks', '[]')) u
    WHERE NOT EXISTS (SELECT 1 FROM parked p WHERE p.id = u::uuid)
$$;

-- write_rest writes what is rare, of the commits that are accepted.
CREATE FUNCTION write_rest(rest json, now timestamptz, accepted integer[], c_commit integer[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    o json;
    k integer;
BEGIN
    FOR o IN SELECT v FROM json_array_elements(rest) v WHERE (v ->> 'commit')::integer = ANY (accepted) LOOP
        k := (o ->> 'commit')::integer;
        IF o -> 'cancels' IS NOT NULL THEN
            UPDATE schedules s SET due = NULL, events = NULL
            WHERE s.due IS NOT NULL AND s.id IN (SELECT v::uuid FROM json_array_elements_text(o -> 'cancels') v);
        END IF;
        IF o -> 'schedules' IS NOT NULL THEN
            INSERT INTO schedules (id, batch, size, due, stream, events)
            SELECT q.id, first_value(q.id) OVER (ORDER BY q.ord), count(*) OVER (), q.due, q.stream, q.events
            FROM rest_schedules(rest) q WHERE q.commit = k ORDER BY q.ord;
            INSERT INTO reserved SELECT (e ->> 'id')::uuid FROM rest_schedules(rest) q, json_array_elements(q.events) e WHERE q.commit = k;
        END IF;
        PERFORM write_entries(o, now, k = ANY (c_commit));
    END LOOP;
END $$;

-- write_entries writes what one commit does with parked entries and deliveries.
CREATE FUNCTION write_entries(o json, now timestamptz, owned boolean) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_nestloop = off AS $$
BEGIN
    IF o -> 'unparks' IS NOT NULL THEN
        IF NOT owned THEN
            UPDATE consumers c SET redrives = c.redrives + 1 WHERE c.name IN (
                SELECT p.consumer FROM parked p WHERE p.id IN (SELECT v::uuid FROM json_array_elements_text(o -> 'unparks') v));
            UPDATE pulse SET roster = roster + 1;
        END IF;
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
        UPDATE consumers c SET redrives = c.redrives + 1 WHERE c.name IN (
            SELECT p.consumer FROM parked p WHERE p.id IN (SELECT v::uuid FROM json_array_elements_text(o -> 'redrives') v));
        UPDATE pulse SET roster = roster + 1;
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
    IF o -> 'deliveries' IS NOT NULL OR o -> 'acks' IS NOT NULL OR o -> 'returns' IS NOT NULL THEN
        UPDATE pulse SET win = win + 1;
    END IF;
END $$;

-- fire moves due schedules into the log, each together with its removal.
CREATE FUNCTION fire(most integer) RETURNS TABLE (fired integer, next timestamptz) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    ids  uuid[];
    head bigint;
BEGIN
    SELECT array_agg(q.id ORDER BY q.due, q.made) INTO ids FROM (
        SELECT s.id, s.due, s.made FROM schedules s WHERE s.due <= clock_timestamp() ORDER BY s.due, s.made LIMIT most FOR UPDATE
    ) q;
    IF ids IS NOT NULL THEN
        PERFORM lock_log();
        SELECT coalesce(max(e.position), 0) INTO head FROM events e;
        DELETE FROM reserved r USING schedules s, json_array_elements(s.events) v WHERE s.id = ANY (ids) AND r.id = (v ->> 'id')::uuid;
        PERFORM write_events(head, array_agg(u.k::integer ORDER BY u.k, u.ord), array_agg(u.stream ORDER BY u.k, u.ord),
            array_agg((u.v ->> 'id')::uuid ORDER BY u.k, u.ord), array_agg(u.v ->> 'type' ORDER BY u.k, u.ord),
            array_agg(u.v -> 'tags' ORDER BY u.k, u.ord), array_agg((u.v ->> 'data')::json ORDER BY u.k, u.ord),
            array_agg(u.v -> 'metadata' ORDER BY u.k, u.ord))
        FROM (
            SELECT i.k, s.stream, v.v, v.ord FROM unnest(ids) WITH ORDINALITY i (id, k) JOIN schedules s ON s.id = i.id,
                json_array_elements(s.events) WITH ORDINALITY v (v, ord)
        ) u;
        UPDATE schedules s SET due = NULL, events = NULL WHERE s.id = ANY (ids);
    END IF;
    RETURN QUERY SELECT coalesce(cardinality(ids), 0), (SELECT min(s.due) FROM schedules s WHERE s.due IS NOT NULL);
END $$;
