-- uses: tagging.lua
-- Reads an entry and, where it is missing or stale and nobody fetches it, gives the right to fetch it.
--
-- KEYS[1]  entry (see cache_read.lua)
-- KEYS[2]  lease: fence ':' generation of the space
-- KEYS[3]  generation of the space
-- KEYS[4+] tags
-- ARGV[1]  fence
-- ARGV[2]  life of the lease, ms
-- ARGV[3]  name of the entry, as its tags know it
-- Reply    {1 leased or 0, ms of freshness, entry or nil or 'unreadable'}
-- Atomic: one holder at a time; the lease stands under its tags before anything is fetched.

local entry, fresh = false, 0
local found = redis.pcall('GET', KEYS[1])
if found then
  entry = 'unreadable'
  if type(found) == 'string' and #found >= 13 and string.sub(found, 1, 4) == 'cs1:' then
    local length = string.byte(found, 7)
    if #found >= 13 + length then
      entry = found
      fresh = redis.call('PTTL', KEYS[1]) - struct.unpack('>I6', found, 8 + length)
      if fresh > 0 then
        return {0, fresh, entry}
      end
    end
  end
end
local generation = redis.call('GET', KEYS[3]) or '0'
local held = redis.call('GET', KEYS[2])
if held and string.sub(held, -#generation - 1) == ':' .. generation then
  return {0, fresh, entry} -- a lease of an earlier generation is void, and is taken over
end
redis.call('SET', KEYS[2], ARGV[1] .. ':' .. generation, 'PX', ARGV[2])
if #KEYS > 3 then
  local now = now_ms()
  for position = 4, #KEYS do
    register(KEYS[position], ARGV[3], now, tonumber(ARGV[2]))
  end
end
return {1, fresh, entry}
