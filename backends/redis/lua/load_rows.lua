-- Returns the columns of the version ARGV[2] of the view ARGV[1], and the rows of the keys ARGV[3], ...; nothing if there is no such
-- version.
local t = table_of(ARGV[1], ARGV[2])
if not t then
  return {}
end
local rows = {}
for i = 3, #ARGV, 1000 do
  for _, row in ipairs(call('HMGET', rows_key(t), unpack(ARGV, i, math.min(i + 999, #ARGV)))) do
    rows[#rows + 1] = row
  end
end
return { call('HGET', view_key(t), 'columns'), rows }
