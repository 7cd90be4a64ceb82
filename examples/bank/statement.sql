-- The lines of all accounts' statements, one for each movement. Programs that start at the same time wait here for each other.
SELECT pg_advisory_xact_lock(hashtext('necrostack/examples/bank'));

CREATE TABLE IF NOT EXISTS bank_statement (
    account  text COLLATE "C" NOT NULL,
    position bigint           NOT NULL, -- of the event
    what     text             NOT NULL, -- its type
    cents    bigint           NOT NULL,
    time     timestamptz      NOT NULL,
    PRIMARY KEY (account, position)
);
