-- uses: session_index.lua
-- Replaces a session's refresh digest where the current one is presented; any other one ends the session.
--
-- KEYS[1]  record (see session_open.lua)
-- KEYS[2]  index of the user's sessions
-- ARGV[1]  presented digest
-- ARGV[2]  its successor
-- ARGV[3]  name in the index
-- ARGV[4]  life, ms
-- Reply    'R' rotated | 'U' reused, the session has ended | 'A' no such session
-- Atomic: one refresh token is good for one rotation.

local record = redis.call('GET', KEYS[1])
if not record then
  return 'A'
end
local opened, digest = string.match(record, '^(s1:%d+:)(.*)$')
if not opened then
  return redis.error_reply('CORRUPT not a session')
end
if digest ~= ARGV[1] then
  redis.call('UNLINK', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[3])
  return 'U'
end
redis.call('SET', KEYS[1], opened .. ARGV[2], 'PX', ARGV[4])
keep(KEYS[2], ARGV[3], tonumber(ARGV[4]))
return 'R'
