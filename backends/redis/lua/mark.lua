-- Of a log that is elsewhere, the highest position that anybody has told of is known, and the id of the event there.

-- departed returns the id of the event that was at a position, if it was another one: the log went back.
local function departed(position, id)
  local mark = call('HMGET', P .. 'meta', 'mark', 'event')
  return mark[1] == position and mark[2] ~= id and mark[2] or nil
end

-- follow remembers an event's position and id, unless a later one is known.
local function follow(position, id)
  local mark = tonumber(call('HGET', P .. 'meta', 'mark') or '0')
  if tonumber(position) > mark then
    call('HSET', P .. 'meta', 'mark', position, 'event', id, 'format', 'beside-1')
  end
end
