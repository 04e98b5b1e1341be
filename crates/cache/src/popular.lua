-- Adds counts to a list of the most popular, in which older counts fade.
--
-- KEYS  the sorted set, when it last faded (seconds)
-- ARGV  life and half-life in seconds, members to keep, then members and counts
local now = tonumber(redis.call('TIME')[1])
local faded = tonumber(redis.call('GET', KEYS[2]) or now)
-- Not at every call: fading writes every member.
if now - faded >= 600 then
  redis.call('ZUNIONSTORE', KEYS[1], 1, KEYS[1], 'WEIGHTS', string.format('%.9f', 0.5 ^ ((now - faded) / ARGV[2])))
  faded = now
end
for i = 4, #ARGV, 2 do
  redis.call('ZINCRBY', KEYS[1], ARGV[i + 1], ARGV[i])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(tonumber(ARGV[3]) + 1))
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], string.format('%.0f', faded), 'EX', ARGV[1])
return 1
