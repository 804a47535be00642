-- uses: tagging.lua
-- Stores what was fetched under a lease, unless the lease has become void, and gives the lease back.
--
-- KEYS[1]  entry (see cache_read.lua)
-- KEYS[2]  lease
-- KEYS[3]  generation of the space
-- KEYS[4+] tags
-- ARGV[1]  fence
-- ARGV[2]  the entry, header and body
-- ARGV[3]  life of the entry, ms
-- ARGV[4]  name of the entry, as its tags know it
-- ARGV[5]  channel on which waiters listen
-- Reply    1 stored, 0 the lease was void
-- Atomic: nothing that was fetched before an invalidation is stored after it.

local generation = redis.call('GET', KEYS[3]) or '0'
local held = redis.call('GET', KEYS[2])
if held ~= ARGV[1] .. ':' .. generation then
  if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then
    redis.call('DEL', KEYS[2]) -- its space was emptied meanwhile: whoever waits has to fetch anew
    redis.call('PUBLISH', ARGV[5], '')
  end
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
if #KEYS > 3 then
  local now = now_ms()
  for position = 4, #KEYS do
    register(KEYS[position], ARGV[4], now, tonumber(ARGV[3]))
  end
end
redis.call('PUBLISH', ARGV[5], '')
return 1
