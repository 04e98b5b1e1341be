-- One flight over all replicas: who may fetch an entry, and store it.
--
-- KEYS  the lock, the entry
-- ARGV  'turn', replica, lock's life in ms, and the first bytes of an entry that is known and not wanted, or ''
--         -> {'found', entry}, {'lead', token}, {'held', ms that the lock still has}
--       'renew', token, lock's life in ms      -> 1 if the token still holds
--       'store', token, entry, entry's life in ms -> 1 if it did, and was stored; the lock is free then
--       'release', token                       -> 1 if it did; the lock is free then
-- A token is the replica and a number that rises, the time in microseconds.
local lock, entry, action = KEYS[1], KEYS[2], ARGV[1]
local token = redis.call('GET', lock)

if action == 'turn' then
  local replica, life, known = ARGV[2] .. ':', ARGV[3], ARGV[4]
  if redis.call('EXISTS', entry) == 1
    and (known == '' or redis.call('GETRANGE', entry, 0, #known - 1) ~= known) then
    return { 'found', redis.call('GET', entry) }
  end
  -- What bears this replica's own name was left behind: within a replica only one call at a time asks.
  if token and string.sub(token, 1, #replica) ~= replica then
    return { 'held', tostring(redis.call('PTTL', lock)) }
  end
  local clock = redis.call('TIME')
  local number = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
  token = replica .. string.format('%.0f', number)
  redis.call('SET', lock, token, 'PX', life)
  return { 'lead', token }
end

if token ~= ARGV[2] then
  return 0
end
if action == 'renew' then
  redis.call('PEXPIRE', lock, ARGV[3])
  return 1
end
if action == 'store' then
  redis.call('SET', entry, ARGV[3], 'PX', ARGV[4])
end
redis.call('DEL', lock)
return 1
