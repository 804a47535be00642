-- Says that an entry is still the known version, or reads it.
--
-- KEYS[1]  entry: 'cs1:' kind (1) coding (1) length of version (1) version, stale age in ms (6, big-endian), body
-- ARGV[1]  known version
-- Reply    nil: nothing | ms of freshness: still the known version | {ms until it is gone, entry} | 'unreadable'
-- Atomic: the time belongs to the entry that is returned.

local head = redis.pcall('GETRANGE', KEYS[1], 0, 44)
if head == '' then
  return false
end
if type(head) == 'table' or #head < 13 or string.sub(head, 1, 4) ~= 'cs1:' then
  return 'unreadable'
end
local length = string.byte(head, 7)
if #head < 13 + length then
  return 'unreadable'
end
local left = redis.call('PTTL', KEYS[1])
if string.sub(head, 8, 7 + length) == ARGV[1] then
  return left - struct.unpack('>I6', head, 8 + length)
end
return {left, redis.call('GET', KEYS[1])}
