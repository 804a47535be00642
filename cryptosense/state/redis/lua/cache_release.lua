-- Gives a lease back without storing.
--
-- KEYS[1]  lease
-- ARGV[1]  fence
-- ARGV[2]  channel on which waiters listen
-- Reply    1 it was held, 0 not
-- Atomic: somebody else's lease is left alone.

local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], '')
  return 1
end
return 0
