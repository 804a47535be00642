-- Ends one session, or all of a user's but one.
--
-- KEYS[1]  index of the user's sessions
-- KEYS[2]  record of the one to end; absent for all
-- ARGV[1]  name in the index of the one to end, or of the one to keep (may be empty)
-- ARGV[2]  for all: what the keys of the user's records begin with
-- Reply    how many sessions ended
-- Atomic. The records are not all in KEYS; the hash tag puts them on the index's shard.

if #KEYS == 2 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return redis.call('UNLINK', KEYS[2])
end
local ended = 0
for _, session in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if session ~= ARGV[1] then
    ended = ended + redis.call('UNLINK', ARGV[2] .. session)
    redis.call('ZREM', KEYS[1], session)
  end
end
return ended
