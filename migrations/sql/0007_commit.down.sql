DROP FUNCTION sent_before, known_schedules, fenced, stands, commit_batch;
