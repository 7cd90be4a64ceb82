DROP PROCEDURE call_fire, call_commit_batch, append_one;
