-- Gives the member ARGV[1] those of the partitions ARGV[4], ... of the consumer ARGV[2] that no other live member owns, provided that
-- its generation is ARGV[3]. It returns of each its number, epoch, position and how many owners it has outlived, or what refuses it.
-- Epochs are no less than the time in milliseconds, so that none comes again if the server has forgotten some of them.
local me, key, now = ARGV[1], consumer_key(ARGV[2]), clock()
local about = call('HMGET', key, 'generation', 'paused', 'partitions')
if not about[1] then
  return { 'unknown' }
end
if not alive(me, now) then
  return { 'dead' }
end
if about[1] ~= ARGV[3] or about[2] == '1' then
  return { 'refused' }
end
for i = 4, #ARGV do
  if tonumber(ARGV[i]) < 0 or tonumber(ARGV[i]) >= tonumber(about[3]) then
    return { 'partition', ARGV[i], about[3] }
  end
end
local leases = {}
for i = 4, #ARGV do
  local n = ARGV[i]
  local owner = call('HGET', key, 'o:' .. n)
  if owner == me or not alive(owner, now) then
    if owner ~= '' and owner ~= me then -- it did not hand it back
      call('HINCRBY', key, 'l:' .. n, 1)
    end
    local epoch = math.max(tonumber(call('HGET', key, 'e:' .. n)) + 1, math.floor(now / 1000))
    call('HSET', key, 'o:' .. n, me, 'e:' .. n, fmt('%.0f', epoch))
    local lane = call('HMGET', key, 'e:' .. n, 'p:' .. n, 'l:' .. n)
    leases[#leases + 1] = { n, lane[1], lane[2], lane[3] }
  end
end
return leases
