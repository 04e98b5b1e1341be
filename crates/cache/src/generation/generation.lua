-- The generations of one person, and which replicas remember them. Numbers rise and are never used again: one that
-- nobody has raised is the time, in microseconds, at which the hash was made.
--
-- KEYS  the hash, the mark that the person was forgotten (in the same slot)
-- ARGV  'read' or 'bump', replica, lease in ms, life in ms; for a bump: channel, message, fields
-- Of a person who was forgotten nothing is made: read returns 'gone', bump only tells all replicas.
-- read returns 'origin' and the raised fields, each with its number, 'now', and 'doubted' if what was raised before the
-- hash was made may have been lost; and notes the replica as a holder.
-- bump raises the fields, tells all replicas which holders there are, and returns for how many ms holders that are not
-- known ('unknown'; 'young' if the writer has reason to doubt that the hash is the person's first) and each other holder
-- may still remember what was before.
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local key, replica, lease = KEYS[1], ARGV[2], tonumber(ARGV[3])

if redis.call('EXISTS', KEYS[2]) == 1 then
  if ARGV[1] == 'read' then
    return { 'gone', '1' }
  end
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. ' ')
  return { 'unknown', '0', 'young', '0' }
end

local function number(value)
  return string.format('%.0f', value)
end

local stored, highest, hash = {}, 0, redis.call('HGETALL', key)
for i = 1, #hash, 2 do
  stored[hash[i]] = hash[i + 1]
end

-- A hash that another run of the server wrote may lack what was written last: a replica was promoted, or an older state
-- of the disk was loaded. Neither its numbers nor its holders count. One that is not there is a person's first, unless
-- the server has begun so lately that leases which its run before gave may still hold (its seconds are cut off).
local information = redis.pcall('INFO', 'server')
local server, uptime = 'unknown', 0
if type(information) == 'string' then
  server = string.match(information, 'run_id:(%w+)') or server
  uptime = tonumber(string.match(information, 'uptime_in_seconds:(%d+)') or 0)
end
if not stored.origin or stored.server ~= server then
  local hidden = lease
  if not stored.origin then
    hidden = math.max(0, math.min(lease, lease + 1000 - uptime * 1000))
  end
  for field, value in pairs(stored) do
    if not string.find(field, '^holder:') then
      highest = math.max(highest, tonumber(value) or 0)
    end
  end
  redis.call('DEL', key)
  stored = {
    origin = number(math.max(now, highest + 1)),
    server = server,
    made = number(now),
    unknown = number(now + hidden * 1000),
  }
  redis.call('HSET', key, 'origin', stored.origin, 'server', server, 'made', stored.made, 'unknown', stored.unknown)
end

local function milliseconds_left(time)
  return math.max(0, math.min(lease, math.ceil((tonumber(time) - now) / 1000)))
end

local holders = {}
for field, value in pairs(stored) do
  local holder = string.match(field, '^holder:(.*)$')
  local left = holder and milliseconds_left(value)
  if left == 0 then
    redis.call('HDEL', key, field)
  elseif holder and holder ~= replica then
    holders[holder] = left
  end
end

local answer = {}
if ARGV[1] == 'read' then
  redis.call('HSET', key, 'holder:' .. replica, number(now + lease * 1000))
  answer = { 'now', number(now) }
  if tonumber(stored.unknown) > tonumber(stored.made) then
    answer[3], answer[4] = 'doubted', '1'
  end
  for field, value in pairs(stored) do
    if field == 'origin' or field == 'preferences' or string.find(field, '.', 1, true) then
      answer[#answer + 1], answer[#answer + 2] = field, value
    end
  end
else
  local names = {}
  for i = 7, #ARGV do
    redis.call('HSET', key, ARGV[i], number(math.max(now, tonumber(stored[ARGV[i]] or stored.origin) + 1)))
  end
  answer = {
    'unknown', number(milliseconds_left(stored.unknown)),
    'young', number(milliseconds_left(tonumber(stored.made) + lease * 1000)),
  }
  for holder, left in pairs(holders) do
    names[#names + 1] = holder
    answer[#answer + 1], answer[#answer + 2] = holder, number(left)
  end
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. ' ' .. table.concat(names, ','))
end
redis.call('PEXPIRE', key, ARGV[4])
return answer
