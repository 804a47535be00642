-- Sliding window log: exact, at any concurrency and whatever the callers' clocks say.
--
-- KEYS[1]  the client's log: records of 15 bytes, oldest first (7: µs of admission, big-endian; 8: decision digest)
-- ARGV[1]  limit
-- ARGV[2]  window, ms
-- ARGV[3]  decision digest, 8 bytes; empty to look without a trace
-- Reply    18 bytes, big-endian: admitted (1), replayed (1), remaining (8), ms until quota increases (8); a table
--          would cost the server more than the decision itself
-- Atomic: one decision; a denied one writes nothing. Three commands at most (TIME, GET, SET).

local limit, window, decision = tonumber(ARGV[1]), ARGV[2] * 1000, ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local log = redis.call('GET', KEYS[1]) or ''
if #log % 15 ~= 0 then
  return redis.error_reply('CORRUPT not a log of admissions')
end

local unpack_at = struct.unpack
local total = #log / 15
local first = 0
if total > 0 then
  local last = unpack_at('>I7', log, #log - 14)
  if last > now + window then
    log, total = '', 0 -- written under a clock that has since been set back by more than a window
  elseif last > now then
    now = last -- the clock went back a little: nobody may gain by it
  end
end
if total > 0 and unpack_at('>I7', log, 1) <= now - window then
  local low, high = 1, total -- the first record that still counts lies in [low, high]; `total` means none
  while low < high do
    local middle = math.floor((low + high) / 2)
    if unpack_at('>I7', log, middle * 15 + 1) <= now - window then low = middle + 1 else high = middle end
  end
  first = low
end

local count = total - first
local function wait(position) -- ms, rounded up, until the record at this position leaves the window
  return math.ceil((unpack_at('>I7', log, position * 15 + 1) + window - now) / 1000)
end

if decision ~= '' and count > 0 then
  local found = string.find(log, decision, first * 15 + 8, true)
  while found and found % 15 ~= 8 do
    found = string.find(log, decision, found + 1, true)
  end
  if found then
    return struct.pack('>I1I1I8I8', 1, 1, math.max(0, limit - count), wait(first + math.max(0, count - limit)))
  end
end
if count >= limit then
  return struct.pack('>I1I1I8I8', 0, 0, 0, wait(first + count - limit))
end
local reset = count > 0 and wait(first) or math.ceil(window / 1000)
if decision ~= '' then
  local kept = first > 0 and string.sub(log, first * 15 + 1) or log
  redis.call('SET', KEYS[1], kept .. struct.pack('>I7', now) .. decision, 'PX', ARGV[2])
end
return struct.pack('>I1I1I8I8', 1, 0, limit - count - 1, reset)
