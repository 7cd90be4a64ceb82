-- Tells of the event at the position ARGV[1] of the log that is elsewhere, whose id is ARGV[2]: it is the head from now on, unless a
-- later one is known. It returns the id of the event that was there, if it was another one.
local back = departed(ARGV[1], ARGV[2])
if back then
  return back
end
follow(ARGV[1], ARGV[2])
local head, time, roster, window = pulse()
if tonumber(ARGV[1]) > head then
  beat(ARGV[1], time, roster, window)
end
return ''
