-- Notes that nothing may be sent for a while. A pause is never shortened.
--
-- KEYS  the pause
-- ARGV  milliseconds
-- Returns how many milliseconds it lasts now.
local left = redis.call('PTTL', KEYS[1])
local wanted = tonumber(ARGV[1])
if left < wanted then
  redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
  return wanted
end
return left
