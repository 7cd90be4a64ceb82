-- How the log is written from outside: by procedures that commit by themselves. After a function, it would be the client
-- who ends the transaction, by the Sync that follows its call on the wire; one that is stopped between the two would
-- hold the log's lock. A procedure that commits can keep no settings of its own: the functions that it calls have them,
-- and are named in full.
DO $calls$
BEGIN
    EXECUTE format($text$
        CREATE PROCEDURE call_append_one(
            of text, low bigint, high bigint, id uuid, type text, tags json, data json, metadata json, OUT before bigint, OUT place bigint
        ) LANGUAGE plpgsql AS $$
        BEGIN
            SELECT a.before, a.place INTO before, place FROM %1$I.append_one(of, low, high, id, type, tags, data, metadata) a;
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
    $text$, current_schema());
END $calls$;
