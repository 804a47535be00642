-- Generic cell rate algorithm (ATM Forum TM 4.0): one number a client, its theoretical arrival time.
--
-- KEYS[1]  the arrival time in µs, as decimal text (an integer to Redis, so it takes no space beyond its key)
-- ARGV[1]  limit
-- ARGV[2]  window, ms
-- ARGV[3]  empty to look without a trace
-- Reply    18 bytes, big-endian: admitted (1), 0 (1), remaining (8), ms until quota increases (8); a table
--          would cost the server more than the decision itself
-- Atomic: one decision; a denied one writes nothing. The interval is window / limit, rounded down to a µs.

local limit, window = tonumber(ARGV[1]), ARGV[2] * 1000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = math.max(1, math.floor(window / limit))
local burst = limit * interval
local arrival = now
local held = redis.call('GET', KEYS[1])
if held then
  held = tonumber(held)
  if not held then
    return redis.error_reply('CORRUPT not an arrival time')
  end
  if held > now and held <= now + 2 * burst then
    arrival = held -- further ahead it was written under a clock that has since been set back
  end
end

local admitted = 0
if arrival + interval - now <= burst then
  admitted = 1
  arrival = arrival + interval
  if ARGV[3] ~= '' then
    redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
  end
end
local left = burst - (arrival - now)
local remaining = math.max(0, math.floor(left / interval))
return struct.pack('>I1I1I8I8', admitted, 0, remaining, math.ceil(((remaining + 1) * interval - left) / 1000))
