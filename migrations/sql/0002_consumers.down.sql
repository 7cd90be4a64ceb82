DROP FUNCTION release, claim, renew, fence_all, beat;
DROP TABLE pulse_locks, pulses, members, checkpoints, partitions, consumers;
