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

-- pulse is the log's head, the time of its last event, and the beats of rosters and windows: a text of four numbers.
local function pulse()
  local text = call('GET', P .. 'pulse')
  if not text then
    return 0, 0, 0, 0
  end
  local head, time, roster, window = string.match(text, '^(%d+) (%d+) (%d+) (%d+)$')
  return tonumber(head), tonumber(time), tonumber(roster), tonumber(window)
end

-- set_pulse writes a new pulse. Who waits for events is woken by the log itself.
local function set_pulse(head, time, roster, window)
  call('SET', P .. 'pulse', fmt('%.0f %.0f %.0f %.0f', head, time, roster, window))
end

-- beat writes a new pulse, and wakes whoever waits.
local function beat(head, time, roster, window)
  set_pulse(head, time, roster, window)
  call('XADD', P .. 'beats', 'MAXLEN', '~', 100, '*', 'roster', roster, 'window', window)
end

-- changed says that some roster has changed.
local function changed(times)
  local head, time, roster, window = pulse()
  beat(head, time, roster + (times or 1), window)
end
