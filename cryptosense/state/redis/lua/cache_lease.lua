-- uses: tagging.lua
-- Gives the right to fetch an entry, where it is missing or stale and nobody fetches it. The entry itself is read by
-- commands of its own behind this one: a hit of 200 KB through a script would hold everybody up for 0.3 ms.
--
-- KEYS[1]  entry (see cache_read.lua)
-- KEYS[2]  lease: fence ':' generation of the space
-- KEYS[3]  generation of the space
-- KEYS[4+] tags
-- ARGV[1]  fence
-- ARGV[2]  life of the lease, ms
-- ARGV[3]  name of the entry, as its tags know it
-- Reply    1 leased, 0 not
-- Atomic: one holder at a time; the lease stands under its tags before anything is fetched. While it stands nobody else
-- stores, so an entry read after a granted lease is missing or stale too.

local head = redis.pcall('GETRANGE', KEYS[1], 0, 44)
if type(head) == 'string' and #head >= 13 and string.sub(head, 1, 4) == 'cs1:' then
  local length = string.byte(head, 7)
  if #head >= 13 + length and redis.call('PTTL', KEYS[1]) > struct.unpack('>I6', head, 8 + length) then
    return 0
  end
end
local generation = redis.call('GET', KEYS[3]) or '0'
local held = redis.call('GET', KEYS[2])
if held and string.sub(held, -#generation - 1) == ':' .. generation then
  return 0 -- a lease of an earlier generation is void, and is taken over
end
redis.call('SET', KEYS[2], ARGV[1] .. ':' .. generation, 'PX', ARGV[2])
if #KEYS > 3 then
  local now = now_ms()
  for position = 4, #KEYS do
    register(KEYS[position], ARGV[3], now, tonumber(ARGV[2]))
  end
end
return 1
