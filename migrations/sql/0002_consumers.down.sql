DROP FUNCTION release, claim, renew, fence_all, beat;
DROP TABLE listeners, pulse_locks, pulses, members, checkpoints, partitions, consumers;
