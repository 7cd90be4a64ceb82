-- How the log is written from outside: by procedures that commit by themselves. After a function, it would be the client
-- who ends the transaction, by the Sync that follows its call on the wire; one that is stopped between the two would
-- hold the log's lock. A procedure that commits can keep no settings of its own, so everything is named in full; what the
-- functions that they call need, these set.
DO $calls$
BEGIN
    EXECUTE format($text$
        -- append_one is commit_batch for a lone event without a condition, in as few statements as it takes. It returns
        -- the version before and the event's position, or no position if the version is not within low and high. An
        -- id that is known is an error: commit_batch knows what to make of it.
        CREATE PROCEDURE append_one(
            of text, low bigint, high bigint, id uuid, type text, tags json, data json, metadata json, OUT before bigint, OUT place bigint
        ) LANGUAGE plpgsql AS $$
        #variable_conflict use_variable
        DECLARE
            last  timestamptz;
            taken boolean;
        BEGIN
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
            ELSE
                INSERT INTO %1$I.events VALUES (place, of, before + 1, id, type, tags, data, metadata, greatest(clock_timestamp(), last), place);
                IF tags IS NOT NULL THEN
                    INSERT INTO %1$I.event_tags SELECT t.tag, place, type FROM json_array_elements_text(tags) t (tag);
                END IF;
            END IF;
            COMMIT;
        END $$;
        CREATE PROCEDURE call_commit_batch(
            n integer, s_stream text[],
            x_commit integer[], x_stream integer[], x_least bigint[], x_most bigint[],
            e_commit integer[], e_stream integer[], e_nth integer[], e_first integer[],
            e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[],
            c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[],
            u_commit integer[], u_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[],
            rest json, OUT head bigint, OUT versions bigint[], OUT codes text[], OUT details json[]
        ) LANGUAGE plpgsql AS $$
        BEGIN
            SELECT b.head, b.versions, b.codes, b.details INTO head, versions, codes, details FROM %1$I.commit_batch(
                n, s_stream, x_commit, x_stream, x_least, x_most,
                e_commit, e_stream, e_nth, e_first, e_id, e_type, e_tags, e_data, e_metadata,
                c_commit, c_consumer, c_partition, c_epoch, c_from, c_to,
                u_commit, u_after, i_condition, i_stream, i_category, i_types, i_tags, rest) b;
            COMMIT;
        END $$;
        CREATE PROCEDURE call_fire(most integer, OUT fired integer, OUT next timestamptz) LANGUAGE plpgsql AS $$
        BEGIN
            SELECT f.fired, f.next INTO fired, next FROM %1$I.fire(most) f;
            COMMIT;
        END $$;
    $text$, current_schema(), quote_ident(current_schema()) || '.events');
END $calls$;
