-- Views: which versions of their rows there are. The rows of version 1 of balances are the table view_balances_v1, which the
-- program makes; view_balances shows those of the version that serves.

CREATE TABLE views (
    name     text    COLLATE "C" NOT NULL,
    version  integer NOT NULL,
    serves   boolean NOT NULL,
    complete boolean NOT NULL DEFAULT false, -- it has caught up with the log once, since it began
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX views_serving ON views (name) WHERE serves;

-- The head when a consumer was defined, or last reset: what comes up to there was in the log before.
ALTER TABLE consumers ADD COLUMN history bigint NOT NULL DEFAULT 0;

-- move_checkpoints writes a commit that has nothing but checkpoints, or fails: NS001 with what commit_batch says of it as the
-- error's detail. It locks the partitions, in the order of their keys, and never takes the log's lock. Nearly always all of
-- them may be moved, and one statement sees to that. If one may not, nothing is moved by it, and commit_batch says why. A
-- checkpoint that somebody has moved since the statement's snapshot is another row by then, and is not moved again.
--
-- It does not wait for the disk: what a crash of the server undoes are the checkpoint and the rows of a view that were written
-- with it, and these are folded again. Whoever reads views from a standby, and has commits wait for it, still finds them there.
CREATE FUNCTION move_checkpoints(
    log text, c_consumer text[], c_partition integer[], c_epoch bigint[], c_from bigint[], c_to bigint[]
) RETURNS void LANGUAGE plpgsql
SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off AS $$
DECLARE
    r     record;
    moved bigint;
BEGIN
    IF log <> current_schema() THEN
        PERFORM not_this_log(log);
    END IF;
    IF current_setting('synchronous_commit') <> 'remote_apply' THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    WITH locked AS MATERIALIZED (
        SELECT c.consumer, c.partition, c.since, c.upto
        FROM unnest(c_consumer, c_partition, c_epoch, c_from, c_to) c (consumer, partition, epoch, since, upto)
        JOIN partitions p ON p.consumer = c.consumer AND p.partition = c.partition
        WHERE p.epoch = c.epoch AND c.since <> c.upto
        ORDER BY p.consumer, p.partition FOR UPDATE OF p
    ), standing AS MATERIALIZED (
        SELECT l.consumer, l.partition, l.upto, k.moved
        FROM locked l
        CROSS JOIN LATERAL (SELECT x.moved, x.position FROM checkpoints x WHERE x.consumer = l.consumer AND x.partition = l.partition
            ORDER BY x.moved DESC LIMIT 1) k
        WHERE k.position = l.since
    )
    UPDATE checkpoints k SET moved = k.moved + 1, position = s.upto FROM standing s
    WHERE k.consumer = s.consumer AND k.partition = s.partition AND k.moved = s.moved
        AND (SELECT count(*) FROM standing) = cardinality(c_consumer);
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved = cardinality(c_consumer) THEN
        RETURN;
    END IF;
    SELECT * INTO r FROM commit_batch(log, 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
        array_fill(1, ARRAY[cardinality(c_consumer)]), c_consumer, c_partition, c_epoch, c_from, c_to,
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', NULL);
    IF r.codes[1] <> 'again' THEN
        RAISE EXCEPTION USING ERRCODE = 'NS001', MESSAGE = format('the log refuses a commit: %s', r.codes[1]),
            DETAIL = json_build_object('code', r.codes[1], 'about', r.details[1]);
    END IF;
END $$;
