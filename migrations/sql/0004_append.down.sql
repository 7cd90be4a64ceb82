DROP FUNCTION append_one, write_events;
