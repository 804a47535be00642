-- Used by cache_lease.lua and cache_store.lua: registers a name under a tag for as long as the name may live.
-- A tag is a sorted set of names by the ms at which each is gone; what has gone is dropped on the way.

local function register(tag, name, now, life)
  redis.call('ZREMRANGEBYSCORE', tag, '-inf', now)
  redis.call('ZADD', tag, 'GT', now + life, name)
  if redis.call('PTTL', tag) < life then
    redis.call('PEXPIRE', tag, life)
  end
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
