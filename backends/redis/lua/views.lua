-- Rows of a view's version are a hash, key to row, beside what is known of the version, and sets that hold their order: of all keys,
-- and of each indexed column the values, so written that their bytes are in order, with the keys behind them. A row is a line of
-- JSON, and of each indexed column the length of its value in eight hexadecimal digits and the value, so that its place can be
-- found again. How many rows there are is known of the version, too: where it is not true, the server has removed some of this.
local function view_key(t) return P .. 'view:' .. t end
local function rows_key(t) return P .. 'rows:' .. t end

-- order_key is the set that holds an order: that of a column, or of the keys.
local function order_key(t, column)
  return column == '' and P .. 'rk:' .. t or P .. 'rx:' .. t .. ':' .. column
end

-- indexed_columns are the names of a version's.
local function indexed_columns(t)
  local list = {}
  for c in string.gmatch(call('HGET', view_key(t), 'indexed') or '', '[^,]+') do
    list[#list + 1] = c
  end
  return list
end

-- empty removes all rows.
local function empty_rows(t)
  call('UNLINK', rows_key(t), order_key(t, ''))
  for _, c in ipairs(indexed_columns(t)) do
    call('UNLINK', order_key(t, c))
  end
  call('HSET', view_key(t), 'complete', '0', 'rows', '0')
end

-- whole_rows reports whether a version is there, with all of its rows, and it is known which version of its view serves.
local function whole_rows(t, columns)
  local view = call('HMGET', view_key(t), 'columns', 'rows')
  if not view[1] or call('HEXISTS', P .. 'serving', (string.match(t, '^(.*)_v'))) == 0 then
    return false
  end
  local n = tonumber(view[2])
  if call('HLEN', rows_key(t)) ~= n or call('ZCARD', order_key(t, '')) ~= n then
    return false
  end
  for _, c in ipairs(columns) do
    if call('ZCARD', order_key(t, c)) ~= n then
      return false
    end
  end
  return true
end

-- table_of is the version of a view, or for 0 the one that serves; nil if there is none, or not all of it.
local function table_of(name, version)
  if version == '0' then
    version = call('HGET', P .. 'serving', name)
  end
  local t = version and name .. '_v' .. version
  return t and whole_rows(t, indexed_columns(t)) and t or nil
end
