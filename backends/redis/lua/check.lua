-- Returns the head as the pulse has it, and the id of the log's last entry.
local last = call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
return { (pulse()), last and last[1] or '0-0' }
