-- Moves the consumer ARGV[1] to the position ARGV[2], and empties its rows if it has any. It returns 0 if there is none, and 2 if its
-- rows can only begin anew.
if call('EXISTS', consumer_key(ARGV[1])) == 0 then
  return 0
end
if call('EXISTS', view_key(ARGV[1])) == 1 then
  if ARGV[2] ~= '0' then
    return 2
  end
  empty_rows(ARGV[1])
end
reset(ARGV[1], ARGV[2])
changed()
return 1
