DROP FUNCTION append_one, write_events, not_this_log;
