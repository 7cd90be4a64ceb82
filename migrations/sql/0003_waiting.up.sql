-- What waits: schedules, parked entries, deliveries. And snapshots, which are but a cache.

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
