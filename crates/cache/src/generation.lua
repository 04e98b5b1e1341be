-- The generations of one person at one provider: numbers that only rise and are never used again, because a
-- missing one (new, expired, evicted) starts at the server's time in microseconds.
--
-- KEYS  the hash of generations
-- ARGV  life in milliseconds, 'read' or 'bump', then fields
-- Returns each field's generation, after the bump if it is one.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local bump = ARGV[2] == 'bump'
local answer, changed = {}, false
for i = 3, #ARGV do
  local generation = tonumber(redis.call('HGET', KEYS[1], ARGV[i]))
  if bump or not generation then
    generation = math.max(now, (generation or 0) + 1)
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f', generation))
    changed = true
  end
  answer[i - 2] = generation
end
if changed then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return answer
