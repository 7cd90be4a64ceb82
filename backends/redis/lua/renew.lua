-- Keeps the member ARGV[1] alive for ARGV[2] microseconds, as one that runs the consumers ARGV[3], ..., and returns their rosters.
local me, now, changes = ARGV[1], clock(), 0
local members, runs = P .. 'members', P .. 'runs'
for _, m in ipairs(call('ZRANGEBYSCORE', members, '-inf', now)) do
  if m ~= me then
    call('ZREM', members, m)
    call('HDEL', runs, m)
    changes = changes + 1
  end
end
local consumers = table.concat(ARGV, '\0', 3)
if call('HGET', runs, me) ~= consumers then
  call('HSET', runs, me, consumers)
  changes = changes + 1
end
call('ZADD', members, now + tonumber(ARGV[2]), me)
if changes > 0 then
  changed(changes)
end
local rosters = {}
for i = 3, #ARGV do
  rosters[i - 2] = roster(ARGV[i], now)
end
return rosters
