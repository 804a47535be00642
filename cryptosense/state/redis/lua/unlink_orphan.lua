-- Removes a key that has no expiry; nothing of ours is written without one.
--
-- KEYS[1]  the key
-- Reply    1 removed, 0 not
-- Atomic: a record that gets its expiry meanwhile is not lost.

if redis.call('PTTL', KEYS[1]) == -1 then
  return redis.call('UNLINK', KEYS[1])
end
return 0
