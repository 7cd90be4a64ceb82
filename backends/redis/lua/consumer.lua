-- Consumers are hashes: def (opaque here), generation, competing, paused, redrives, history, partitions, and of each partition n
-- its epoch (e:n), position (p:n), owner (o:n) and how many owners it has outlived (l:n). Members are a set by when they end.
local function consumer_key(name)
  return P .. 'consumer:' .. name
end

local function alive(member, now)
  local expires = member and member ~= '' and call('ZSCORE', P .. 'members', member)
  return expires and tonumber(expires) > now
end

-- move puts all partitions at a position, or leaves them where they are, under new epochs and without owners.
local function move(key, to)
  for n = 0, tonumber(call('HGET', key, 'partitions')) - 1 do
    call('HINCRBY', key, 'e:' .. n, 1)
    call('HSET', key, 'o:' .. n, '', 'l:' .. n, '0')
    if to then
      call('HSET', key, 'p:' .. n, to)
    end
  end
end

-- reset moves a consumer, and forgets what it has set aside and what was delivered to it behind there.
local function reset(name, to)
  local key = consumer_key(name)
  move(key, to)
  for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'pc:' .. name, '(' .. to, '+inf')) do
    call('DEL', P .. 'parked:' .. id)
    call('ZREM', P .. 'parked', id)
    call('ZREM', P .. 'pc:' .. name, id)
  end
  local records = P .. 'wd:' .. name
  for _, id in ipairs(call('HKEYS', records)) do
    local entry, position = string.match(call('HGET', records, id), '^%d+ %d (%S+) %d+ (%d+)')
    if tonumber(position) > tonumber(to) then
      if entry ~= '-' then
        call('XACK', P .. 'w:' .. name, 'workers', entry)
        call('XDEL', P .. 'w:' .. name, entry)
      end
      call('HDEL', records, id)
      call('ZREM', P .. 'wr:' .. name, id)
      call('ZREM', P .. 'wl:' .. name, id)
    end
  end
  call('HINCRBY', key, 'redrives', 1)
  call('HSET', key, 'history', (pulse()))
end

-- roster is who runs a consumer, and how far it has come.
local function roster(name, now)
  local key = consumer_key(name)
  local about = call('HMGET', key, 'generation', 'competing', 'paused', 'redrives', 'history', 'partitions')
  if not about[1] then
    return {}
  end
  local members, lanes = {}, {}
  for _, m in ipairs(call('ZRANGEBYSCORE', P .. 'members', fmt('(%.0f', now), '+inf')) do
    local runs = call('HGET', P .. 'runs', m)
    if runs and string.find('\0' .. runs .. '\0', '\0' .. name .. '\0', 1, true) then
      members[#members + 1] = m
    end
  end
  local living = {}
  for n = 0, tonumber(about[6]) - 1 do
    local lane = call('HMGET', key, 'o:' .. n, 'e:' .. n, 'p:' .. n)
    local owner = lane[1]
    if living[owner] == nil then
      living[owner] = alive(owner, now) and true or false
    end
    lanes[3 * n + 1], lanes[3 * n + 2], lanes[3 * n + 3] = living[owner] and owner or '', lane[2], lane[3]
  end
  return { about[1], about[2], about[3], about[4], about[5], members, lanes }
end
