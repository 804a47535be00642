-- Drops every entry under any of the tags and voids the leases on them, without a scan.
--
-- KEYS     tags of one space
-- ARGV[1]  what the keys of the space's entries begin with; the same with 'l:' instead of 'e:' for leases is ARGV[2]
-- ARGV[3]  what the space's channels begin with
-- Reply    how many entries were there
-- Atomic: all of them at once. The keys of the entries are not in KEYS; the hash tag puts them on the same shard.

local dropped = 0
for _, tag in ipairs(KEYS) do
  for _, name in ipairs(redis.call('ZRANGE', tag, 0, -1)) do
    dropped = dropped + redis.call('UNLINK', ARGV[1] .. name)
    if redis.call('DEL', ARGV[2] .. name) == 1 then
      redis.call('PUBLISH', ARGV[3] .. name, '')
    end
  end
  redis.call('DEL', tag)
end
return dropped
