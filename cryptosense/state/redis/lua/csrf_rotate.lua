-- Compares the presented token and, where it is the current one, makes the successor current.
--
-- KEYS[1]  the session's record: '=', length of the current token (1), the token, and for each replaced one, newest
--          first, 23 bytes: µs at which it was replaced (7, big-endian), its digest (16)
-- ARGV[1]  presented
-- ARGV[2]  its digest, 16 bytes
-- ARGV[3]  successor
-- ARGV[4]  life, ms
-- ARGV[5]  grace, ms
-- ARGV[6]  how many replaced tokens are kept
-- Reply    'R' rotated | 'G' .. current: replaced within the grace | 'M' mismatch | 'A' the session has no token
-- Atomic: the current token is accepted by exactly one call.

local record = redis.call('GET', KEYS[1])
if not record then
  return 'A'
end
local length = string.byte(record, 2) or 0
local kept = (#record - 2 - length) / 23
if length == 0 or string.byte(record) ~= 61 or kept < 0 or kept ~= math.floor(kept) then
  return redis.error_reply('CORRUPT not a CSRF record')
end
local current = string.sub(record, 3, 2 + length)
local grace = ARGV[5] * 1000
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

if ARGV[1] == current then
  local renewed = '=' .. string.char(#ARGV[3]) .. ARGV[3]
  if grace > 0 then
    local now = now_us()
    local finish, most = #record, tonumber(ARGV[6]) - 1
    -- The oldest is last, so what is one too many or too old is cut off from behind.
    while kept > 0 and (kept > most or now - struct.unpack('>I7', record, finish - 22) >= grace) do
      finish, kept = finish - 23, kept - 1
    end
    renewed = renewed .. struct.pack('>I7', now) .. ARGV[2] .. string.sub(record, 3 + length, finish)
  end
  redis.call('SET', KEYS[1], renewed, 'PX', ARGV[4])
  return 'R'
end

if grace > 0 and kept > 0 then
  local first = 3 + length + 7
  local found = string.find(record, ARGV[2], first, true)
  while found and (found - first) % 23 ~= 0 do
    found = string.find(record, ARGV[2], found + 1, true)
  end
  if found and now_us() - struct.unpack('>I7', record, found - 7) < grace then
    return 'G' .. current
  end
end
return 'M'
