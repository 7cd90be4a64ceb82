DROP TABLE staged;
DROP FUNCTION commit_staged, refuse_old_snapshot, lock_staged;
