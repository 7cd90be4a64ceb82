DROP FUNCTION append_one, versions, write_events;
