-- Counts a replica among those that are there, and among those that have calls of an outage to bring.
--
-- KEYS  1 replicas by the time at which they are taken for gone, 2 those of them that owe (sorted sets, one slot)
-- ARGV  the replica's id, for how many microseconds it counts (0 to leave), 1 if it owes
-- Returns how many there are, how many others owe, and the run id of the server, which is empty if it does not say.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local life = tonumber(ARGV[2])
local function note(key, there)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now))
  if there then
    redis.call('ZADD', key, string.format('%.0f', now + life), ARGV[1])
    redis.call('PEXPIRE', key, string.format('%.0f', life / 1000))
  else
    redis.call('ZREM', key, ARGV[1])
  end
  return redis.call('ZCARD', key)
end
local there = note(KEYS[1], life > 0)
local owe = note(KEYS[2], life > 0 and ARGV[3] == '1')
if life > 0 and ARGV[3] == '1' then
  owe = owe - 1
end
-- Whoever may not ask for it is answered all the same.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
return { there, owe, run or '' }
