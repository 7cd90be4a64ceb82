-- Returns the name, generation and definition of each consumer.
local all = {}
for k, name in ipairs(call('SMEMBERS', P .. 'consumers')) do
  local about = call('HMGET', consumer_key(name), 'generation', 'def')
  all[k] = { name, about[1], about[2] }
end
return all
