-- How events are written.

-- not_this_log fails, for a function that was called by a number which stands for something else than the caller thinks:
-- the server behind a pooler has been replaced by a copy.
CREATE FUNCTION not_this_log(log text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'NS002', MESSAGE = format('this is not the log %I but %I', log, current_schema());
END $$;

-- write_events appends events under the log's lock, in a statement after the one that took it. Every array has an
-- element for each event, in order: e_stream says which of s_stream, which stands at version s_version; e_nth which
-- event of its stream it is here, and e_first which of all these begins its commit, both from 1. Tags are JSON arrays.
-- e_place says which event of those that are written it is, or 0; without e_place, all are written.
CREATE FUNCTION write_events(
    head bigint, s_stream text[], s_version bigint[], e_place integer[],
    e_stream integer[], e_nth integer[], e_first integer[], e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[]
) RETURNS void LANGUAGE plpgsql AS $$
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

-- append_one is commit_batch for a lone event without a condition, in as few statements as it takes. It returns the version
-- before and the event's position, or no position if the version is not within low and high. An id that is known is an
-- error: commit_batch knows what to make of it. Names are given in full: a search path of its own would take longer to set
-- and reset than the lock does.
DO $do$
BEGIN
    EXECUTE format($text$
        CREATE FUNCTION append_one(
            log text, of text, low bigint, high bigint, id uuid, type text, tags json, data json, metadata json, OUT before bigint, OUT place bigint
        ) LANGUAGE plpgsql AS $$
        #variable_conflict use_variable
        DECLARE
            last  timestamptz;
            taken boolean;
        BEGIN
            IF log <> %1$L THEN
                PERFORM %1$I.not_this_log(log);
            END IF;
            PERFORM pg_advisory_xact_lock(1313166925, %2$L::regclass::oid::bigint::bit(32)::integer); -- as lock_log does
            SELECT coalesce(l.position, 0) + 1, l.time,
                coalesce((SELECT e.version FROM %1$I.events e WHERE e.stream = of ORDER BY e.version DESC LIMIT 1), 0),
                EXISTS (SELECT 1 FROM %1$I.reserved r WHERE r.id = id)
                INTO place, last, before, taken
                FROM (VALUES (0)) one LEFT JOIN (SELECT e.position, e.time FROM %1$I.events e ORDER BY e.position DESC LIMIT 1) l ON true;
            IF taken THEN
                RAISE unique_violation USING CONSTRAINT = 'events_id', MESSAGE = 'the id is reserved';
            END IF;
            IF before < low OR before > high THEN
                place := NULL;
                RETURN;
            END IF;
            INSERT INTO %1$I.events VALUES (place, of, before + 1, id, type, tags, data, metadata, greatest(clock_timestamp(), last), place);
            IF tags IS NOT NULL THEN
                INSERT INTO %1$I.event_tags SELECT t.tag, place, type FROM json_array_elements_text(tags) t (tag);
            END IF;
        END $$
    $text$, current_schema(), quote_ident(current_schema()) || '.events');
END $do$;
