-- The log itself. All migrations run with the log's schema first in the search path and pg_temp last; functions that
-- are called from outside keep that path, so that nobody's temporary table can stand in for one of ours.

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

-- Events never change.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events never change: % of % refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON event_tags FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- lock_log takes the one lock that puts commits into order, until the transaction ends. It is the last lock that a
-- transaction takes, and what it guards is read in statements after the one that takes it: the snapshot of a
-- statement is older than the locks it waits for.
CREATE FUNCTION lock_log() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1313166925, 'events'::regclass::oid::bigint::bit(32)::integer);
END $$;
