-- Sliding window counter: two numbers a client; the previous window counts by the share that is still covered.
--
-- KEYS[1]  12 bytes: number of the aligned window (6), admissions in it (3), in the one before (3), big-endian
-- ARGV[1]  limit, below 2^24
-- ARGV[2]  window, ms
-- ARGV[3]  empty to look without a trace
-- Reply    18 bytes, big-endian: admitted (1), 0 (1), remaining (8), ms until quota increases (8); a table
--          would cost the server more than the decision itself
-- Atomic: one decision; a denied one writes nothing. Products stay exact below 2^53: limit * window in µs.

local limit, window = tonumber(ARGV[1]), ARGV[2] * 1000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local index = math.floor(now / window)
local elapsed = now - index * window
local current, previous = 0, 0
local record = redis.call('GET', KEYS[1])
if record then
  if #record ~= 12 then
    return redis.error_reply('CORRUPT not a pair of counters')
  end
  local held, newer, older = struct.unpack('>I6I3I3', record)
  if held > index and held <= index + 1 then
    index, elapsed = held, 0 -- the clock went back a little: nobody may gain by it
  end
  if held == index then
    current, previous = newer, older
  elseif held == index - 1 then
    previous = newer
  end
end

local weighted = previous * (window - elapsed)
local admitted = 0
if weighted + (current + 1) * window <= limit * window then
  admitted = 1
  current = current + 1
  if ARGV[3] ~= '' then
    redis.call('SET', KEYS[1], struct.pack('>I6I3I3', index, current, previous), 'PX', ARGV[2] * 2)
  end
end
local remaining = math.max(0, math.floor((limit * window - current * window - weighted) / window))

local room = limit - remaining - 1
local wait
if current <= room and previous > 0 then
  wait = math.max(0, window - elapsed - math.floor((room - current) * window / previous))
else
  wait = window - elapsed
  if current > 0 then
    wait = wait + math.max(0, window - math.floor(room * window / current))
  end
end
return struct.pack('>I1I1I8I8', admitted, 0, remaining, math.ceil(wait / 1000))
