DROP TABLE snapshots, deliveries, parked, reserved, schedules;
