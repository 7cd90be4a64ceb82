DROP FUNCTION fire, write_entries, write_rest, rest_gone, lock_rest, rest_kinds, rest_schedules, rest_list;
