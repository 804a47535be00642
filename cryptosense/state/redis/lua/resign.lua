-- Gives up the lead of a task.
--
-- KEYS[1]  who leads
-- ARGV[1]  who resigns
-- Reply    1 it led, 0 not
-- Atomic: somebody else's lead is left alone.

if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
