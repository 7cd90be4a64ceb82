DROP PROCEDURE call_fire, call_commit_batch, call_append_one;
