-- Commits within somebody else's transaction. They are staged, and written when that transaction commits: until then
-- the log's lock is free, and nobody waits for it who holds locks of the caller's own.

-- The arguments of commit_batch, for as long as the transaction lasts. Nobody ever sees a row of it.
CREATE UNLOGGED TABLE staged (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    s_stream text[],
    x_commit integer[], x_stream integer[], x_least bigint[], x_most bigint[],
    e_commit integer[], e_stream integer[], e_nth integer[], e_first integer[],
    e_id uuid[], e_type text[], e_tags json[], e_data json[], e_metadata json[],
    c_commit integer[], c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[],
    u_commit integer[], u_after bigint[], i_condition integer[], i_stream text[], i_category text[], i_types json[], i_tags json[],
    rest json
);

-- lock_staged locks what commits lock before the log, at once: at the end of the transaction it would be too late.
CREATE FUNCTION lock_staged() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT SET jit = off SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM partitions p JOIN unnest(NEW.c_consumer, NEW.c_partition) c (consumer, partition)
        ON p.consumer = c.consumer AND p.partition = c.partition ORDER BY p.consumer, p.partition FOR UPDATE OF p;
    -- An old snapshot shows here that it is old.
    PERFORM 1 FROM checkpoints k JOIN unnest(NEW.c_consumer, NEW.c_partition) c (consumer, partition)
        ON k.consumer = c.consumer AND k.partition = c.partition
        WHERE k.moved = (SELECT max(m.moved) FROM checkpoints m WHERE m.consumer = c.consumer AND m.partition = c.partition) FOR UPDATE OF k;
    IF NEW.rest IS NOT NULL THEN
        PERFORM lock_rest(NEW.rest, rest_kinds(NEW.rest), NEW.c_commit);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER lock BEFORE INSERT ON staged FOR EACH ROW EXECUTE FUNCTION lock_staged();

-- refuse_old_snapshot fails if there are events after head that the transaction's snapshot does not show. It tries to
-- put one there, and takes it back.
CREATE FUNCTION refuse_old_snapshot(head bigint) RETURNS void LANGUAGE plpgsql AS $$
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

-- commit_staged writes a staged commit, or fails the transaction: NS001 with what commit_batch says of it as the
-- error's detail, or 40001 if the transaction's snapshot is older than the log, which only happens at the isolation
-- levels REPEATABLE READ and SERIALIZABLE.
CREATE FUNCTION commit_staged() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
CREATE CONSTRAINT TRIGGER commit AFTER INSERT ON staged DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION commit_staged();
