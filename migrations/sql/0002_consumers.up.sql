-- Consumers, and who works which of their partitions.

CREATE TABLE consumers (
    name       text    COLLATE "C" PRIMARY KEY,
    definition json    NOT NULL,
    generation bigint  NOT NULL,
    competing  boolean NOT NULL,
    paused     boolean NOT NULL DEFAULT false,
    redrives   bigint  NOT NULL DEFAULT 0
);

-- Who may move a partition. These rows change with their owners only; commits lock them, and never write them.
CREATE TABLE partitions (
    consumer  text    COLLATE "C" NOT NULL REFERENCES consumers,
    partition integer NOT NULL,
    epoch     bigint  NOT NULL DEFAULT 0,
    owner     text    COLLATE "C",
    lost      integer NOT NULL DEFAULT 0, -- owners in a row that were lost, as of the claim when it had moved so often
    stood     bigint  NOT NULL DEFAULT 0, -- checkpoints.moved at that claim
    PRIMARY KEY (consumer, partition)
) WITH (fillfactor = 50);

-- Where a partition stands: the row with the greatest moved. There is but one; yet while somebody keeps an old
-- snapshot, those that it replaced cannot be removed, and the newest is still the first that the index has to show.
CREATE TABLE checkpoints (
    consumer  text    COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    moved     bigint  NOT NULL, -- how often it was moved
    position  bigint  NOT NULL,
    PRIMARY KEY (consumer, partition, moved)
);

CREATE TABLE members (
    id        text        COLLATE "C" PRIMARY KEY,
    consumers text[]      COLLATE "C" NOT NULL,
    expires   timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What readers look at to see whether anything but the head has changed. Like checkpoints, each has one row, the one
-- with the greatest beat.
CREATE TABLE pulses (
    name text   COLLATE "C" NOT NULL,
    beat bigint NOT NULL,
    PRIMARY KEY (name, beat)
);
INSERT INTO pulses VALUES ('roster', 0), ('window', 0);

-- What whoever changes a pulse locks: rows that stay.
CREATE TABLE pulse_locks (name text COLLATE "C" PRIMARY KEY);
INSERT INTO pulse_locks VALUES ('roster'), ('window');

-- beat makes readers look again, once the transaction has committed.
CREATE FUNCTION beat(what text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM pulse_locks l WHERE l.name = what FOR UPDATE;
    UPDATE pulses SET beat = beat + 1 WHERE name = what AND beat = (SELECT max(p.beat) FROM pulses p WHERE p.name = what);
END $$;

-- Processes that want to be told of commits by NOTIFY. Without any, nobody announces.
CREATE TABLE listeners (
    id    uuid        PRIMARY KEY,
    until timestamptz NOT NULL
);

-- fence_all gives all partitions of a consumer a new epoch and no owner. It locks them in the order of their keys.
CREATE FUNCTION fence_all(who text) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM partitions p WHERE p.consumer = who ORDER BY p.partition FOR UPDATE;
    UPDATE partitions SET epoch = epoch + 1, owner = NULL, lost = 0 WHERE consumer = who;
END $$;

-- renew keeps a member alive and forgets those that have expired.
CREATE FUNCTION renew(member text, running text[], ttl interval) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

-- claim gives a member what it may have of the wanted partitions, each under a new epoch. A code other than null says
-- why not: unknown, dead, refused (paused, or of another generation), or partition, with how many there are.
CREATE FUNCTION claim(member text, who text, asked bigint, wanted integer[])
RETURNS TABLE (code text, partition integer, epoch bigint, "position" bigint, lost integer)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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

-- release gives back leases of a member: those named, or all if null.
CREATE FUNCTION release(member text, l_consumer text[], l_partition integer[], l_epoch bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
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
