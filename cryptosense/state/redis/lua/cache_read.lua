-- Reads an entry, or only says that it is still the known version.
--
-- KEYS[1]  entry: 'cs1:' kind (1) coding (1) length of version (1) version, stale age in ms (6, big-endian), body
-- ARGV[1]  known version, or empty
-- Reply    nil: nothing | ms of freshness: still the known version | {ms of freshness, entry} | 'unreadable'
-- Atomic: the freshness belongs to the entry that is returned.

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
local fresh = redis.call('PTTL', KEYS[1]) - struct.unpack('>I6', head, 8 + length)
if string.sub(head, 8, 7 + length) == ARGV[1] then
  return fresh
end
return {fresh, redis.call('GET', KEYS[1])}
