-- Conditions: whether an event matches.

-- first_of returns the first position in [since, upto] that an event with all of the tags, and of any of the types,
-- has. It goes round: each list is asked for its next position, from the furthest that another has reached, so that
-- the shortest decides how many steps it takes. Either of both may be null, but not both. What an index has before the
-- position is compared together with it: were it said to be equal, the planner might walk along all positions instead.
CREATE FUNCTION first_of(tags text[], types text[], since bigint, upto bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
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

-- first_match is first_of for the events of a stream, or of a category, or of all, as far as these are not null.
CREATE FUNCTION first_match(of text, within text, tags text[], types text[], since bigint, upto bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
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

-- broken returns, for each condition that an event after both its position and since, and up to upto, breaks, the
-- first such event. Items are alternatives of conditions; their types and tags are JSON arrays or null. Most items are one
-- tag, or one type, and an index has the answer. What several of the others ask for alike is looked for once, from the
-- earliest position of them: mostly, there is nothing.
CREATE FUNCTION broken(
    since bigint, upto bigint, x_after bigint[],
    i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[]
) RETURNS TABLE (condition integer, at bigint) LANGUAGE plpgsql STABLE AS $$
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

-- items returns what conditions ask about events in [since, upto]; plain are those that ask for one tag, or for one type.
CREATE FUNCTION items(
    since bigint, upto bigint, x_after bigint[],
    i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[]
) RETURNS TABLE (condition integer, stream text, category text, types_json json, tags_json json, lowest bigint, plain boolean)
LANGUAGE sql IMMUTABLE AS $$
    SELECT u.condition, u.stream, u.category, u.types_json, u.tags_json, s.lowest,
        u.stream IS NULL AND u.category IS NULL AND coalesce(json_array_length(u.types_json), 0) + coalesce(json_array_length(u.tags_json), 0) = 1
    FROM unnest(i_condition, i_stream, i_category, i_types, i_tags) u (condition, stream, category, types_json, tags_json),
        LATERAL (SELECT greatest(x_after[u.condition], since) + 1 AS lowest) s
    WHERE s.lowest <= upto
$$;
