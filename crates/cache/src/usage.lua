-- Adds counts of one replica to a tenant's day, once: a batch that was written but not confirmed is sent again under
-- the same number.
--
-- KEYS  the day's hash
-- ARGV  its life in seconds, the writer's field, the batch's number, then fields and counts
if redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[3] then
  return 0
end
for i = 4, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
