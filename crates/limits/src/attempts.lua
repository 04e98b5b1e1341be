-- An exact sliding log of failures: the times of the last `limit` failures, oldest first.
--
-- KEYS  the log
-- ARGV  limit, window in microseconds
-- Returns for how many microseconds attempts are refused; 0 if they are not. The failure is recorded afterwards.
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local wait = 0
local oldest = redis.call('LINDEX', KEYS[1], -limit)
if oldest then
  wait = math.max(0, tonumber(oldest) + window - now)
end

if limit > 0 then
  redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
  redis.call('LTRIM', KEYS[1], -limit, -1)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(window / 1000)))
end
return wait
