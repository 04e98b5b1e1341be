-- Counts one call on several buckets at once: all are checked, then all are charged, or none is.
--
-- KEYS  one bucket each, all in one cluster slot
-- ARGV  cost, extra, then for each bucket: window, interval, denominator
--       (window in microseconds; a call weighs interval / denominator microseconds)
-- Takes `cost` calls and up to `extra` more, whatever fits everywhere; nothing if not even `cost` fits.
-- Returns: calls taken, the server's time in microseconds, then for each bucket whole and part of its
-- theoretical arrival time afterwards (whole + part / denominator microseconds).
--
-- A bucket is stored as "whole part denominator". Every product stays below 2^53, so doubles are exact.
local cost, extra = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local stored = redis.call('MGET', unpack(KEYS))

local taken = cost + extra
local wholes, parts = {}, {}
for i = 1, #KEYS do
  local window, interval, denominator = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local whole, part = now, 0
  if stored[i] then
    local w, p, d = string.match(stored[i], '^(%d+) (%d+) (%d+)$')
    w, p, d = tonumber(w), tonumber(p), tonumber(d)
    if p > 0 and d ~= denominator then
      w, p = w + 1, 0
    end
    if w >= now then
      whole, part = w, p
    end
  end
  local free = (window - (whole - now)) * denominator - part
  local fits = 0
  if free > 0 then
    fits = (free - math.fmod(free, interval)) / interval
  end
  if fits < taken then
    taken = fits
  end
  wholes[i], parts[i] = whole, part
end

if taken < cost then
  taken = 0
end

local answer = { taken, now }
for i = 1, #KEYS do
  local whole, part = wholes[i], parts[i]
  if taken > 0 then
    local interval, denominator = tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
    local step = taken * interval + part
    part = math.fmod(step, denominator)
    whole = whole + (step - part) / denominator
    local life = math.ceil((whole - now) / 1000) + 1
    redis.call('SET', KEYS[i], string.format('%.0f %.0f %.0f', whole, part, denominator), 'PX', string.format('%.0f', life))
  end
  answer[2 * i + 1], answer[2 * i + 2] = whole, part
end
return answer
