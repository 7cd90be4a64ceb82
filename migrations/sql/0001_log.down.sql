DROP FUNCTION lock_log;
DROP TABLE event_tags, events;
DROP FUNCTION refuse_change;
