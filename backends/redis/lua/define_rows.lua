-- Makes the rows of the view ARGV[1], version ARGV[2], with the columns ARGV[3] (opaque here), those of ARGV[4] indexed; or returns the
-- columns of those that are there. If some of these are gone, they all begin anew.
local t = ARGV[1] .. '_v' .. ARGV[2]
call('SADD', P .. 'versions:' .. ARGV[1], ARGV[2])
call('HSETNX', P .. 'serving', ARGV[1], ARGV[2])
local known = call('HGET', view_key(t), 'columns')
if known and whole_rows(t, indexed_columns(t)) then
  return known
end
if not known then
  call('HSET', view_key(t), 'columns', ARGV[3], 'indexed', ARGV[4])
end
empty_rows(t)
if call('EXISTS', consumer_key(t)) == 1 then
  reset(t, '0')
end
changed()
return known or ''
