-- How rows of a view are put into their places: see views.lua.

-- unplace takes a row out of the orders of its columns.
local function unplace(w, key, row)
  local i = string.find(row, '\n', 1, true) + 1
  for _, column in ipairs(w.columns) do
    local n = tonumber(sub(row, i, i + 7), 16)
    call('ZREM', order_key(w.t, column), sub(row, i + 8, i + 7 + n) .. key)
    i = i + 8 + n
  end
end

-- rows puts rows into their places, and removes those without values.
local function rows(w)
  local all = rows_key(w.t)
  for _, i in ipairs(w.rows) do
    local key, json = ARGV[i], ARGV[i + 1]
    if #w.columns > 0 then
      local before = call('HGET', all, key)
      if before then
        unplace(w, key, before)
      end
    end
    if json == '' then
      call('HDEL', all, key)
      call('ZREM', order_key(w.t, ''), key)
    else
      local row = { json, '\n' }
      for k, column in ipairs(w.columns) do
        local value = ARGV[i + 1 + k]
        row[#row + 1] = fmt('%08x', #value)
        row[#row + 1] = value
        call('ZADD', order_key(w.t, column), 0, value .. key)
      end
      call('HSET', all, key, table.concat(row))
      call('ZADD', order_key(w.t, ''), 0, key)
    end
  end
  call('HSET', view_key(w.t), 'rows', call('HLEN', all))
end
