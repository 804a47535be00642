-- Used by the session scripts: keeps the index of a user's sessions, a sorted set by the ms at which each is gone.

local function keep(index, session, life)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, now + life, session)
  if redis.call('PTTL', index) < life then
    redis.call('PEXPIRE', index, life)
  end
end
