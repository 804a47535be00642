-- The session's token; the candidate becomes it where there is none.
--
-- KEYS[1]  the session's record (see csrf_rotate.lua)
-- ARGV[1]  candidate
-- ARGV[2]  life, ms; counts anew from each time that the token is handed out
-- Reply    the token
-- Atomic: of many first calls one candidate wins and all are told it.

local record = redis.call('GET', KEYS[1])
if not record then
  redis.call('SET', KEYS[1], '=' .. string.char(#ARGV[1]) .. ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
local length = string.byte(record, 2) or 0
if length == 0 or string.byte(record) ~= 61 or #record < 2 + length or (#record - 2 - length) % 23 ~= 0 then
  return redis.error_reply('CORRUPT not a CSRF record')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return string.sub(record, 3, 2 + length)
