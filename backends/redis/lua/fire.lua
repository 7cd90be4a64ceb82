-- Moves up to ARGV[1] schedules that are due into the log, earliest first. It returns how many, and when the next one is due, or ''.
local due = P .. 'due'
local fired = call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(fired) do
  local key = P .. 'schedule:' .. sub(member, 18)
  local a = parse_append(call('LRANGE', key, 2, -1), 1)
  write(a, head + 1)
  call('DEL', key)
  call('ZREM', due, member)
end
finish(0, 0)
local next = call('ZRANGE', due, 0, 0)[1]
return { #fired, next and call('LINDEX', P .. 'schedule:' .. sub(next, 18), 1) or '' }
