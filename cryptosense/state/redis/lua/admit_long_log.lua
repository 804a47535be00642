-- Sliding window log for large limits: the same record and the same answers as admit_log.lua, without reading it all.
--
-- KEYS[1]  the client's log: records of 15 bytes, oldest first (7: µs of admission, big-endian; 8: decision digest)
-- ARGV[1]  limit
-- ARGV[2]  window, ms
-- ARGV[3]  decision digest, 8 bytes; empty to look without a trace
-- ARGV[4]  among how many of the newest records a repeated decision is looked for
-- Reply    18 bytes, big-endian: admitted (1), replayed (1), remaining (8), ms until quota increases (8); a table
--          would cost the server more than the decision itself
-- Atomic: one decision; a denied one writes nothing. Commands grow with the logarithm of the log; what has expired is
-- cut off when it makes up half of the log, so an admission appends a record and moves none.

local key, limit, window, decision = KEYS[1], tonumber(ARGV[1]), ARGV[2] * 1000, ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local size = redis.call('STRLEN', key)
if size % 15 ~= 0 then
  return redis.error_reply('CORRUPT not a log of admissions')
end

local total = size / 15
local function at(position)
  return struct.unpack('>I7', redis.call('GETRANGE', key, position * 15, position * 15 + 6))
end
local first, stale = 0, false
if total > 0 then
  local last = at(total - 1)
  if last > now + window then
    total, stale = 0, true -- written under a clock that has since been set back by more than a window
  elseif last > now then
    now = last -- the clock went back a little: nobody may gain by it
  end
end
if total > 0 and at(0) <= now - window then
  local low, high = 1, total
  while low < high do
    local middle = math.floor((low + high) / 2)
    if at(middle) <= now - window then low = middle + 1 else high = middle end
  end
  first = low
end

local count = total - first
local function wait(position) -- ms, rounded up, until the record at this position leaves the window
  return math.ceil((at(position) + window - now) / 1000)
end

if decision ~= '' and count > 0 then
  local newest = redis.call('GETRANGE', key, math.max(first, total - ARGV[4]) * 15, -1)
  local found = string.find(newest, decision, 8, true)
  while found and found % 15 ~= 8 do
    found = string.find(newest, decision, found + 1, true)
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
  local record = struct.pack('>I7', now) .. decision
  if stale or first * 2 > total then
    local kept = count > 0 and redis.call('GETRANGE', key, first * 15, -1) or ''
    redis.call('SET', key, kept .. record, 'PX', ARGV[2])
  else
    redis.call('APPEND', key, record)
    redis.call('PEXPIRE', key, ARGV[2])
  end
end
return struct.pack('>I1I1I8I8', 1, 0, limit - count - 1, reset)
