-- Compares the presented token and, where it is the current one, makes the successor current.
--
-- KEYS[1]  the session's record: '=', how many replaced tokens follow (2 digits), the current token, and for each
--          replaced one, newest first: '|' token ':' µs at which it was replaced (16 digits) its length (3 digits)
-- ARGV[1]  presented; holds neither '|' nor ':'
-- ARGV[2]  successor
-- ARGV[3]  life, ms
-- ARGV[4]  grace, µs
-- ARGV[5]  how many replaced tokens are kept
-- Reply    'R' rotated | 'G' .. current: replaced within the grace | 'M' mismatch | 'A' the session has no token
-- Atomic: the current token is accepted by exactly one call.

local record = redis.call('GET', KEYS[1])
if not record then
  return 'A'
end
local count, current, stop = string.match(record, '^=(%d%d)([%w_-]+)()')
if not count then
  return redis.error_reply('CORRUPT not a CSRF record')
end
local presented, grace = ARGV[1], tonumber(ARGV[4])

if presented == current then
  local renewed = '=00' .. ARGV[2]
  if grace > 0 then
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local most, finish = ARGV[5] - 1, #record
    count = tonumber(count)
    -- The oldest is last, and its length stands at its end, so what is too old is cut off from behind.
    while count > 0 and (count > most or now - string.sub(record, finish - 18, finish - 3) >= grace) do
      finish = finish - 21 - string.sub(record, finish - 2, finish)
      count = count - 1
    end
    renewed = string.format('=%02d%s|%s:%016.0f%03d', count + 1, ARGV[2], current, now, #current)
      .. string.sub(record, stop, finish)
  end
  redis.call('SET', KEYS[1], renewed, 'PX', ARGV[3])
  return 'R'
end

if grace > 0 and stop <= #record then
  local found = string.find(record, '|' .. presented .. ':', stop, true)
  if found then
    local time = redis.call('TIME')
    local at = string.sub(record, found + #presented + 2, found + #presented + 17)
    if time[1] * 1000000 + time[2] - at < grace then
      return 'G' .. current
    end
  end
end
return 'M'
