-- Pauses the consumer ARGV[1], or resumes it, as ARGV[2] is 1 or 0. It returns 0 if there is none.
local key = consumer_key(ARGV[1])
local paused = call('HGET', key, 'paused')
if not paused then
  return 0
end
if paused ~= ARGV[2] then
  call('HSET', key, 'paused', ARGV[2])
  move(key)
  local head, time, roster, window = pulse()
  beat(head, time, roster + 1, window + 1)
end
return 1
