-- Counts a replica among those that are there.
--
-- KEYS  replicas by the time at which they are taken for gone (sorted set)
-- ARGV  the replica's id, for how many microseconds it counts; 0 to leave
-- Returns how many there are.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local life = tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if life > 0 then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + life), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life / 1000))
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZCARD', KEYS[1])
