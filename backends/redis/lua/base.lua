-- What all scripts begin with. KEYS[1] is the log's stream, "{log}:log"; every other key has the same prefix, and so the same
-- hash tag: a cluster keeps them on one node. Numbers are doubles: positions and microseconds are exact up to 2^53, and are
-- formatted by "%.0f" wherever they become part of a text. (redis.call formats its arguments exactly by itself.)
local call, fmt, sub = redis.call, string.format, string.sub
local log = KEYS[1]
local P = sub(log, 1, -4)

-- clock is the server's time in microseconds.
local function clock()
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end

-- pulse is the log's head, the time of its last event, and the beats of rosters and windows.
local function pulse()
  local last = call('XREVRANGE', P .. 'pulse', '+', '-', 'COUNT', 1)[1]
  if not last then
    return 0, 0, 0, 0
  end
  local f = last[2]
  return tonumber(f[2]), tonumber(f[4]), tonumber(f[6]), tonumber(f[8])
end

-- beat writes a new pulse, which wakes whoever waits.
local function beat(head, time, roster, window)
  call('XADD', P .. 'pulse', 'MAXLEN', '~', 100, '*', 'head', head, 'time', time, 'roster', roster, 'window', window)
end

-- changed says that some roster has changed.
local function changed(times)
  local head, time, roster, window = pulse()
  beat(head, time, roster + (times or 1), window)
end
