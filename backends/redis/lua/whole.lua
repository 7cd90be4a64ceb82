-- In a cluster, all of the log has to be here: while its keys are on their way to another node, one that is missing may be there. The
-- second key never is, so this fails before anything is done, here or there.
redis.call('EXISTS', KEYS[1], string.sub(KEYS[1], 1, -4) .. 'none')
