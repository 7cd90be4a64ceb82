-- Decides a batch of commits, each by itself: it checks all of a commit before it writes any of it, in the order ids, fences,
-- expectations and conditions. ARGV is the number of commits, and of each the number of its appends, the appends, and
-- sections: a letter, a number, and as many entries; '.' ends them. Commits one behind the other that are but an acknowledgement
-- each, of one consumer, are put together: 'a', the consumer, their number, and of each its id and attempt. It returns of each commit
-- 0, its last position and the versions of its streams, or the number of what refuses it and what there is to say of that.

local function apply(c)
  for _, i in ipairs(c.k or NONE) do
    cancel(ARGV[i])
  end
  if c.s then
    local made = c.s[1].id .. #c.s
    for _, s in ipairs(c.s) do
      schedule(s, made)
    end
  end
  parkings(c)
  deliveries(c)
  checkpoints(c)
  if c.m then
    follow(ARGV[c.m[1]], ARGV[c.m[1] + 1])
  end
  if c.w then
    rows(c.w)
  end
  local result, first = { 0, 0 }, head + 1
  for k, a in ipairs(c.appends) do
    result[k + 2] = write(a, first)
    result[2] = head
  end
  return result
end

local function decide(c)
  local back = c.m and departed(ARGV[c.m[1]], ARGV[c.m[1] + 1])
  if back then
    return { WENT_BACK, back }
  end
  if c.w and not whole_rows(c.w.t, c.w.columns) then
    return { NO_ROWS }
  end
  return sent_before(c) or fences(c) or guards(c) or apply(c)
end

local outcomes, commits = {}, tonumber(take())
while #outcomes < commits do
  if ARGV[at] == 'a' then
    local consumer, first = ARGV[at + 1], at + 3
    at = first + 2 * ARGV[at + 2]
    acknowledge(consumer, first, at - 1, outcomes)
  else
    outcomes[#outcomes + 1] = decide(parse_commit())
  end
end
remove()
finish(rosters, windows)
return outcomes
