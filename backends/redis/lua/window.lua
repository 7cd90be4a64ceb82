-- Returns how many deliveries of the consumer ARGV[1] are not done, and when the next can be taken: 0 for now, '' for never.
local n = call('HLEN', P .. 'wd:' .. ARGV[1])
if n == 0 then
  return { 0, '' }
end
if call('ZCARD', P .. 'wr:' .. ARGV[1]) > 0 then
  return { n, '0' }
end
local next = call('ZRANGE', P .. 'wl:' .. ARGV[1], 0, 0)[1]
return { n, (string.match(call('HGET', P .. 'wd:' .. ARGV[1], next), '^%d+ %d %S+ (%d+)')) }
