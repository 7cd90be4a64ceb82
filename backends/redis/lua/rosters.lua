-- Returns the rosters of the consumers ARGV, empty for those that are not known.
local now, rosters = clock(), {}
for i, name in ipairs(ARGV) do
  rosters[i] = roster(name, now)
end
return rosters
