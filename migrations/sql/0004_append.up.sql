-- How events are written.

-- write_events appends events under the log's lock, in a statement after the one that took it. Every array has an
-- element for each event, in order: e_stream says which of s_stream, which stands at version s_version; e_nth which
-- event of its stream it is here, and e_first which of all these begins its commit, both from 1. Tags are JSON arrays.
CREATE FUNCTION write_events(
    head bigint, s_stream text[], s_version bigint[],
    e_stream integer[], e_nth integer[], e_first integer[], e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now timestamptz := greatest(clock_timestamp(), (SELECT e.time FROM events e WHERE e.position = head));
BEGIN
    INSERT INTO events (position, stream, version, id, type, tags, data, metadata, time, first)
    SELECT head + e.ord, s_stream[e.stream], s_version[e.stream] + e.nth, e.id, e.type, e.tags, e.data, e.metadata, now, head + e.first
    FROM unnest(e_stream, e_nth, e_first, e_id, e_type, e_tags, e_data, e_metadata)
        WITH ORDINALITY e (stream, nth, first, id, type, tags, data, metadata, ord);

    IF e_tags IS NOT NULL THEN
        INSERT INTO event_tags (tag, position, type)
        SELECT t.tag, head + e.ord, e.type
        FROM unnest(e_type, e_tags) WITH ORDINALITY e (type, tags, ord), json_array_elements_text(e.tags) t (tag);
    END IF;
END $$;
