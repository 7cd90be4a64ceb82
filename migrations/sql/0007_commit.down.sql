DROP FUNCTION sent_before, known_schedules, known, fenced, commit_batch;
