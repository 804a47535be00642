-- Compares the presented token and, where it is the current one, makes the successor current.
--
-- KEYS[1]  the session's record: '=' current {'|' replaced ':' µs at which it was replaced}, newest first
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
local current, stop = string.match(record, '^=([%w_-]+)()')
if not current then
  return redis.error_reply('CORRUPT not a CSRF record')
end
local presented, grace = ARGV[1], tonumber(ARGV[4])

if presented == current then
  local kept = '=' .. ARGV[2]
  if grace > 0 then
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    kept = kept .. '|' .. current .. ':' .. string.format('%.0f', now)
    local room, finish = ARGV[5] - 1, stop
    while room > 0 and finish <= #record do
      local at, after = string.match(record, '^|[%w_-]+:(%d+)()', finish)
      if not at or now - at >= grace then break end
      room, finish = room - 1, after
    end
    kept = kept .. string.sub(record, stop, finish - 1)
  end
  redis.call('SET', KEYS[1], kept, 'PX', ARGV[3])
  return 'R'
end

if grace > 0 and stop <= #record then
  local found = string.find(record, '|' .. presented .. ':', stop, true)
  if found then
    local time = redis.call('TIME')
    local at = string.match(record, '^%d+', found + #presented + 2)
    if at and time[1] * 1000000 + time[2] - at < grace then
      return 'G' .. current
    end
  end
end
return 'M'
