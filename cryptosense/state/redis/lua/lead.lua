-- Takes or renews the lead of a task.
--
-- KEYS[1]  who leads
-- ARGV[1]  who asks
-- ARGV[2]  life of the lead, ms
-- Reply    1 the asker leads now, 0 somebody else does
-- Atomic: one leader at a time.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
