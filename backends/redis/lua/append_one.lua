-- Appends one event to one stream, so that a lone writer does not pay for what he does not use. ARGV is as of an append, but for the
-- number of events. It returns the event's position and version; or 0 and the version of a stream that is not as expected; or 0 alone
-- if the id is known, and then this may be the same commit again: only the long way tells.
local stream, category, least, most, id, field, kind, meta, tags, data = unpack(ARGV)
local bucket, versions = P .. 'i:' .. sub(id, 33), P .. 's:' .. stream
if least ~= '' then
  local v = call('LLEN', versions)
  if v < tonumber(least) or v > tonumber(most) then
    return call('HEXISTS', bucket, field) == 1 and { 0 } or { 0, v }
  end
end
local head, time, roster, window = pulse()
head, time = head + 1, math.max(clock(), time)
if call('HSETNX', bucket, field, head) == 0 then
  return { 0 }
end
local version = call('RPUSH', versions, head)
call('XADD', log, fmt('%.0f-0', head), 'type', kind, 'stream', stream, 'version', version, 'first', head, 'id', id,
  'tags', tags, 'meta', meta, 'time', time, 'data', data)
call('RPUSH', P .. 't:' .. kind, head)
call('RPUSH', P .. 'c:' .. category, head)
if tags ~= '' then
  for tag in string.gmatch(tags, '[^%z]+') do
    call('RPUSH', P .. 'g:' .. tag, head)
  end
end
beat(head, time, roster, window)
return { head, version }
