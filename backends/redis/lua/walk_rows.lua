-- Returns the columns of the version ARGV[2] of the view ARGV[1], and rows in the order of the column ARGV[3], or of their keys if that is
-- '': from ARGV[5] to ARGV[6], backward if ARGV[4] is 1, ARGV[7] at most. Of each it returns its place in that order, and the row.
-- Without a limit it only counts. It returns nothing if there is no such version, and only the columns if it has not that index.
local t = table_of(ARGV[1], ARGV[2])
if not t then
  return {}
end
local columns = call('HGET', view_key(t), 'columns')
local column = ARGV[3]
if column ~= '' then
  local found = false
  for _, c in ipairs(indexed_columns(t)) do
    found = found or c == column
  end
  if not found then
    return { columns }
  end
end
local order = order_key(t, column)
if ARGV[7] == '' then
  return { columns, call('ZLEXCOUNT', order, ARGV[5], ARGV[6]) }
end
local places
if ARGV[4] == '1' then
  places = call('ZREVRANGEBYLEX', order, ARGV[6], ARGV[5], 'LIMIT', 0, ARGV[7])
else
  places = call('ZRANGEBYLEX', order, ARGV[5], ARGV[6], 'LIMIT', 0, ARGV[7])
end
local kind = ARGV[8] -- how many bytes a value has; '' if it ends with a NUL; 'key' for keys alone
local list = {}
for k, place in ipairs(places) do
  local key = place
  if kind ~= 'key' then
    if string.byte(place) == 2 then -- null
      key = sub(place, 2)
    elseif kind == '' then
      key = sub(place, string.find(place, '\0', 2, true) + 1)
    else
      key = sub(place, 2 + tonumber(kind))
    end
  end
  list[2 * k - 1], list[2 * k] = key, call('HGET', rows_key(t), key)
end
return { columns, list }
