DROP FUNCTION fire, write_entries, write_rest, rest_gone, lock_rest, rest_schedules, sent_before, commit_batch, broken,
    write_events, lock_log;
DROP TABLE snapshots, deliveries, parked, reserved, schedules, pulse, members, partitions, consumers, event_tags, events;
DROP FUNCTION refuse_change;
