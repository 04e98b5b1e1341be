-- Charges what replicas admitted on their own during an outage, whether it fits or not.
--
-- KEYS  buckets (hash): a principal's, or those that a tenant's principals share; all of one tenant
-- ARGV  for each debt: which key, field, microseconds by which the arrival time moves on
-- Returns the server's time in microseconds, then each bucket's arrival time afterwards.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local answer = { now }
for i = 1, #ARGV, 3 do
  local key, field, weight = KEYS[tonumber(ARGV[i])], ARGV[i + 1], tonumber(ARGV[i + 2])
  local stored = redis.call('HGET', key, field)
  local whole = now
  if stored then
    local w = tonumber(stored)
    if not w then
      w = tonumber(string.match(stored, '^(%d+) ')) + 1
    end
    whole = math.max(whole, w)
  end
  whole = whole + weight
  redis.call('HSET', key, field, string.format('%.0f', whole))
  local life = math.ceil((whole - now) / 1000) + 1
  if redis.call('PTTL', key) < life then
    redis.call('PEXPIRE', key, string.format('%.0f', life))
  end
  answer[#answer + 1] = whole
end
return answer
