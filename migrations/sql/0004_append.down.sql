DROP FUNCTION write_events;
