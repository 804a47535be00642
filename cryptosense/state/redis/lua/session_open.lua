-- uses: session_index.lua
-- Opens a session.
--
-- KEYS[1]  record: 's1:' ms of opening ':' refresh digest
-- KEYS[2]  index of the user's sessions
-- ARGV[1]  the record
-- ARGV[2]  its name in the index
-- ARGV[3]  life, ms
-- Reply    1
-- Atomic: no session without its place in the index.

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
keep(KEYS[2], ARGV[2], tonumber(ARGV[3]))
return 1
