-- Drops entries and voids the leases on them.
--
-- KEYS     entry, lease, entry, lease, ...
-- ARGV     the channel of each pair
-- Reply    how many entries were there
-- Atomic: all of them at once.

local dropped = 0
for pair = 1, #ARGV do
  dropped = dropped + redis.call('UNLINK', KEYS[2 * pair - 1])
  if redis.call('DEL', KEYS[2 * pair]) == 1 then
    redis.call('PUBLISH', ARGV[pair], '')
  end
end
return dropped
