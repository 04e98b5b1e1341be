-- Notes that an answer of a person at a provider lies in Redis, so that it can be found when the account is unlinked.
--
-- KEYS  the person's generations, the index (a sorted set of entries by their ends, in ms; in the same slot)
-- ARGV  the account's field, the account's number that the entry is filed under, entry, its life in ms, most entries
-- Returns 'gone' if the account has changed since, else 'noted' and the entries that had to give way.
local generations, index = KEYS[1], KEYS[2]
local number = redis.call('HGET', generations, ARGV[1]) or redis.call('HGET', generations, 'origin')
if number ~= ARGV[2] then
  return { 'gone' }
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local life = tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
redis.call('ZADD', index, now + life, ARGV[3])
redis.call('PEXPIRE', index, math.max(life, redis.call('PTTL', index)))
local answer, beyond = { 'noted' }, redis.call('ZCARD', index) - tonumber(ARGV[5])
if beyond > 0 then
  local first = redis.call('ZPOPMIN', index, beyond)
  for i = 1, #first, 2 do
    answer[#answer + 1] = first[i]
  end
end
return answer
