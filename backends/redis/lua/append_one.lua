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
local head, time, rest = string.match(call('GET', P .. 'pulse') or '0 0 0 0', '^(%d+) (%d+)(.*)$')
local now, place = clock(), fmt('%d', head + 1)
if now > tonumber(time) then
  time = fmt('%d', now)
end
if call('HSETNX', bucket, field, place) == 0 then
  return { 0 }
end
local version = call('RPUSH', versions, place)
call('XADD', log, place .. '-0', 'type', kind, 'stream', stream, 'version', fmt('%d', version), 'first', place, 'id', id,
  'tags', tags, 'meta', meta, 'time', time, 'data', data)
call('RPUSH', P .. 't:' .. kind, place)
call('RPUSH', P .. 'c:' .. category, place)
if tags ~= '' then
  for tag in string.gmatch(tags, '[^%z]+') do
    call('RPUSH', P .. 'g:' .. tag, place)
  end
end
call('SET', P .. 'pulse', place .. ' ' .. time .. rest)
return { head + 1, version }
