-- Counts one call on all of its buckets at once: all are checked, then all are charged, or none is. Keeps the
-- principal's refusals and the penalty that they cost.
--
-- KEYS  1 the principal's buckets and penalty (hash), 2 the tenant's buckets (hash),
--       3 the times of the principal's last refusals (list); all in one cluster slot
-- ARGV  1 the plan in MessagePack: { steps, own fields, tenant fields, rates }
--         steps  refusals, within, block for each step (microseconds)
--         fields of the principal ("penalty" first) and of the tenant, one for each bucket
--         rates  window, interval, denominator for each bucket, the principal's first
--                (microseconds; a call weighs interval / denominator microseconds)
--       2 cost, 3 extra, 4 lead in microseconds
-- Takes `cost` calls and up to `extra` more, whatever fits everywhere; nothing if not even `cost` fits or a penalty is
-- in force. A cost of 0 looks. The calls taken with others ahead may be made up to `lead` later, so they are charged as
-- if they were made then: at the latest time, no bucket's bound is exceeded whenever they are made.
-- Returns: calls taken, the server's time in microseconds, start and length of the penalty in force afterwards (0 0 if
-- none), then for each bucket whole and part of its theoretical arrival time afterwards (whole + part / denominator
-- microseconds).
--
-- A bucket is stored as "whole" or "whole part denominator", a penalty as "since length". Every product stays below
-- 2^53, so doubles are exact.
local steps, own, tenants, rates = unpack(cmsgpack.unpack(ARGV[1]))
local cost, extra, lead = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local stored = redis.call('HMGET', KEYS[1], unpack(own))
local shared = {}
if #tenants > 0 then
  shared = redis.call('HMGET', KEYS[2], unpack(tenants))
end

local since, length = 0, 0
-- Start and length of the last penalty, over or not.
local last, weight = 0, 0
if stored[1] then
  local longest = 0
  for i = 3, #steps, 3 do
    longest = math.max(longest, steps[i])
  end
  local from, whole_length = string.match(stored[1], '^(%d+) (%d+)$')
  from, whole_length = tonumber(from), math.min(tonumber(whole_length), longest)
  last, weight = from, whole_length
  if now < from + whole_length then
    since, length = from, whole_length
  end
end

local mine = #own - 1
local all = mine + #tenants
local wholes, parts = {}, {}
local own_fit, all_fit, later_fit = true, true, cost + extra
for i = 1, all do
  local window, interval, denominator = rates[3 * i - 2], rates[3 * i - 1], rates[3 * i]
  local bucket
  if i <= mine then
    bucket = stored[i + 1]
  else
    bucket = shared[i - mine]
  end
  local whole, part = now, 0
  if bucket then
    local w, p = tonumber(bucket), 0
    if not w then
      local d
      w, p, d = string.match(bucket, '^(%d+) (%d+) (%d+)$')
      w, p, d = tonumber(w), tonumber(p), tonumber(d)
      if d ~= denominator then
        w, p = w + 1, 0
      end
    end
    if w >= now then
      whole, part = w, p
    end
  end
  local free = (window - (whole - now)) * denominator - part
  if free < cost * interval then
    all_fit = false
    own_fit = own_fit and i > mine
  end
  if whole < now + lead then
    free = (window - lead) * denominator
  end
  later_fit = math.min(later_fit, (free - math.fmod(free, interval)) / interval)
  wholes[i], parts[i] = whole, part
end

local taken, later = 0, false
if length == 0 and extra > 0 and later_fit > cost then
  taken, later = later_fit, true
elseif length == 0 and all_fit then
  taken = cost
end

-- A key's life counts from the start of the script, `now` may be read later: a second more, so that a stalled server
-- forgets nothing early.
local function milliseconds(life)
  return math.ceil(life / 1000) + 1000
end

local function keep(key, life)
  life = milliseconds(life)
  if redis.call('PTTL', key) < life then
    redis.call('PEXPIRE', key, string.format('%.0f', life))
  end
end

local function charge(key, fields, skipped, first, last)
  local changes, life = {}, 0
  for i = first, last do
    local interval, denominator = rates[3 * i - 1], rates[3 * i]
    if later and wholes[i] < now + lead then
      wholes[i], parts[i] = now + lead, 0
    end
    local step = taken * interval + parts[i]
    local part = math.fmod(step, denominator)
    local whole = wholes[i] + (step - part) / denominator
    wholes[i], parts[i] = whole, part
    life = math.max(life, whole - now)
    changes[#changes + 1] = fields[i - first + 1 + skipped]
    if part == 0 then
      changes[#changes + 1] = string.format('%.0f', whole)
    else
      changes[#changes + 1] = string.format('%.0f %.0f %.0f', whole, part, denominator)
    end
  end
  redis.call('HSET', key, unpack(changes))
  keep(key, life)
end

if taken > 0 then
  if mine > 0 then
    charge(KEYS[1], own, 1, 1, mine)
  end
  if all > mine then
    charge(KEYS[2], tenants, 0, mine + 1, all)
  end
elseif cost > 0 and #steps > 0 and (length > 0 or not own_fit) then
  -- A refusal for the tenant's buckets alone is nobody's offence.
  local most, remember, reached = 0, 0, 0
  for i = 1, #steps, 3 do
    most, remember = math.max(most, steps[i]), math.max(remember, steps[i + 1])
  end
  redis.call('RPUSH', KEYS[3], string.format('%.0f', now))
  redis.call('LTRIM', KEYS[3], -most, -1)
  redis.call('PEXPIRE', KEYS[3], string.format('%.0f', milliseconds(remember)))
  for i = 1, #steps, 3 do
    local time = tonumber(redis.call('LINDEX', KEYS[3], -steps[i]) or 'nil')
    -- What a penalty was served for does not count again towards one that is no longer.
    local served = weight >= steps[i + 2] and time and time <= last
    if time and not served and now - time < steps[i + 1] then
      reached = math.max(reached, steps[i + 2])
    end
  end
  -- Calls made during a penalty can begin a longer one, but never prolong it.
  if reached > length then
    since, length = now, reached
    redis.call('HSET', KEYS[1], 'penalty', string.format('%.0f %.0f', since, length))
    keep(KEYS[1], math.max(length, remember))
  end
end

local answer = { taken, now, since, length }
for i = 1, all do
  answer[2 * i + 3], answer[2 * i + 4] = wholes[i], parts[i]
end
return answer
