-- Raises the generation of a space, which voids every lease that was given before.
--
-- KEYS[1]  generation of the space
-- ARGV[1]  its life, ms; longer than any lease
-- Reply    the new generation
-- Atomic.

local generation = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return generation
