"""Somebody else's service: another framework, other paths, other names; imports nothing from the product.

A price list and baskets behind bearers, form tokens and limits. The sound form keeps its state in Redis and changes it
in scripts. Each name in FLAWS breaks one thing in the way that such services are usually broken:

    form-token      the token is compared and replaced in two steps
    no-successor    the next token is not delivered
    limit-race      count first, add later
    limit-denied    a denied request counts too
    limit-spoof     the leftmost X-Forwarded-For is believed
    retry-after     Retry-After is always the whole window
    stampede        everyone who misses fetches
    stale-drop      dropping prices forgets a fetch that is under way
    logout          the bearer goes on working
    health          says 200 although Redis is gone
    outage          a lost Redis is answered with "wrong token"
    no-limit        nobody counts who tries to sign in
    own-memory      bearers, form tokens, limits and prices are this process's own and end with it
    hang            nobody waits for Redis with an eye on the time
    bare-error      a lost Redis is answered with whatever the driver raised

Run: python shop.py PORT REDIS_URL [FLAW ...]
"""

import asyncio
import json
import logging
import math
import secrets
import sys
import time

import redis.asyncio as redis
from aiohttp import web

LIMITS = {"open": (60, 6.0), "door": (5, 10.0), "tight": (8, 3.0)}
PRICE_SECONDS = 3.0
UPSTREAM_SECONDS = 0.3
AUDIT_SECONDS = 0.05

ADMIT = """
local now = redis.call('TIME')
local at = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', at - ARGV[2])
local used = redis.call('ZCARD', KEYS[1])
if used >= tonumber(ARGV[1]) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return {0, 0, oldest[2] + ARGV[2] - at}
end
redis.call('ZADD', KEYS[1], at, ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {1, ARGV[1] - used - 1, oldest[2] + ARGV[2] - at}
"""
SWAP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', 3600)
return 1
"""
KEEP = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""


def refuse(status, word, **headers):
    return web.json_response({"problem": word}, status=status, headers=headers)


class Shop:
    def __init__(self, url, flaws):
        self.flaws = frozenset(flaws)
        # Where a process keeps its state to itself, the state has a name that nobody else knows.
        self.own = f"shop-{secrets.token_hex(4)}" if "own-memory" in self.flaws else "shop"
        patience = None if "hang" in self.flaws else 0.5
        self.redis = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=patience, socket_connect_timeout=patience, retry=None
        )
        self.admit = self.redis.register_script(ADMIT)
        self.swap = self.redis.register_script(SWAP)
        self.keep = self.redis.register_script(KEEP)

    def app(self):
        app = web.Application(middlewares=[self.outage], client_max_size=65_536)
        app.add_routes(
            [
                web.post("/v2/accounts", self.sign_up),
                web.delete("/v2/accounts", self.close_account),
                web.post("/v2/session", self.sign_in),
                web.delete("/v2/session", self.sign_out),
                web.get("/v2/form-token", self.form_token),
                web.get("/v2/prices", self.prices),
                web.post("/v2/prices/drop", self.drop),
                web.get("/v2/baskets", self.baskets),
                web.post("/v2/baskets", self.add_basket),
                web.delete("/v2/baskets/{key}", self.remove_basket),
                web.get("/v2/report", self.report),
                web.get("/status", self.status),
                web.get("/upstream-calls", self.upstream_calls),
            ]
        )
        return app

    @web.middleware
    async def outage(self, request, handler):
        try:
            return await handler(request)
        except (redis.ConnectionError, redis.TimeoutError):
            if "bare-error" in self.flaws:
                raise
            if "outage" in self.flaws:
                return refuse(403, "wrong token")
            return refuse(503, "try later", **{"Retry-After": "1"})

    async def limited(self, request, name, who):
        """A refusal, or None and the headers for the answer."""
        limit, seconds = LIMITS[name]
        if "no-limit" in self.flaws and name == "door":
            return None, {"X-Limit": str(limit), "X-Limit-Left": str(limit - 1)}
        key, window = f"{self.own}:limit:{name}:{who}", int(seconds * 1000)
        if "limit-race" in self.flaws:
            now = time.time() * 1000
            await self.redis.zremrangebyscore(key, "-inf", now - window)
            used = await self.redis.zcard(key)
            admitted = used < limit
            if admitted:
                await asyncio.sleep(AUDIT_SECONDS)
                await self.redis.zadd(key, {secrets.token_hex(8): now})
            left, wait = max(0, limit - used - 1), await self.until_oldest_leaves(key, now, window)
        elif "limit-denied" in self.flaws:
            now = time.time() * 1000
            pipe = self.redis.pipeline()
            pipe.zremrangebyscore(key, "-inf", now - window).zadd(key, {secrets.token_hex(8): now}).zcard(key)
            used = (await pipe.execute())[2]
            admitted, left = used <= limit, max(0, limit - used)
            wait = await self.until_oldest_leaves(key, now, window)
        else:
            admitted, left, wait = await self.admit(keys=[key], args=[limit, window, secrets.token_hex(8)])
        headers = {"X-Limit": str(limit), "X-Limit-Left": str(left)}
        if admitted:
            return None, headers
        seconds_left = seconds if "retry-after" in self.flaws else math.ceil(float(wait) / 1000)
        return refuse(429, "too many", **headers, **{"Retry-After": str(int(seconds_left))}), headers

    async def until_oldest_leaves(self, key, now, window):
        oldest = await self.redis.zrange(key, 0, 0, withscores=True)
        return max(1, oldest[0][1] + window - now) if oldest else 1

    def address(self, request):
        forwarded = request.headers.get("X-Forwarded-For", "")
        if "limit-spoof" in self.flaws and forwarded:
            return forwarded.split(",")[0].strip()
        # The load balancer in front appends the peer it saw; what stands left of that is the client's own claim.
        return forwarded.rpartition(",")[2].strip() or request.remote

    async def bearer(self, request):
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token.isalnum() or len(token) > 64:
            return None, None
        return token, await self.redis.get(f"{self.own}:bearer:{token}")

    async def guarded(self, request, limit="open"):
        """(user, bearer, headers), or a refusal as the first of three."""
        token, user = await self.bearer(request)
        refusal, headers = await self.limited(request, limit, f"user:{user}" if user else self.address(request))
        if refusal is not None:
            return refusal, None, None
        if user is None:
            return refuse(401, "who are you"), None, None
        return user, token, headers

    async def formed(self, request, token, headers):
        """A refusal of the form token, or None; on success the successor goes into the cookie."""
        given, key = request.headers.get("X-Form-Token", ""), f"{self.own}:form:{token}"
        successor = secrets.token_urlsafe(24)
        if "form-token" in self.flaws:
            good = await self.redis.get(key) == given
            await asyncio.sleep(AUDIT_SECONDS)
            if good:
                await self.redis.set(key, successor, ex=3600)
        else:
            good = bool(await self.swap(keys=[key], args=[given, successor]))
        if not good:
            return refuse(403, "wrong token", **headers)
        if "no-successor" not in self.flaws:
            headers["Set-Cookie"] = f"next_form_token={successor}; Path=/"
        return None

    async def sign_up(self, request):
        return await self.enter(request, 201, new=True)

    async def sign_in(self, request):
        return await self.enter(request, 200, new=False)

    async def enter(self, request, status, *, new):
        refusal, headers = await self.limited(request, "door", self.address(request))
        if refusal is not None:
            return refusal
        try:
            body = await request.json()
            user, word = str(body["user"]), str(body["word"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return refuse(422, "need user and word", **headers)
        key = f"shop:account:{user}"
        known = await (self.redis.set(key, word, nx=True) if new else self.redis.get(key))
        if (new and not known) or (not new and known != word):
            return refuse(409 if new else 401, "no", **headers)
        token = secrets.token_hex(20)
        await self.redis.set(f"{self.own}:bearer:{token}", user, ex=3600)
        return web.json_response({"auth": {"bearer": token}}, status=status, headers=headers)

    async def sign_out(self, request):
        token, user = await self.bearer(request)
        if user is None:
            return refuse(401, "who are you")
        if "logout" not in self.flaws:
            await self.redis.delete(f"{self.own}:bearer:{token}", f"{self.own}:form:{token}")
        return web.Response(status=204)

    async def close_account(self, request):
        user, token, headers = await self.guarded(request)
        if token is None:
            return user
        if (refusal := await self.formed(request, token, headers)) is not None:
            return refusal
        await self.redis.delete(f"shop:account:{user}", f"shop:baskets:{user}")
        await self.redis.delete(f"{self.own}:bearer:{token}", f"{self.own}:form:{token}")
        return web.Response(status=204)

    async def form_token(self, request):
        user, token, headers = await self.guarded(request)
        if token is None:
            return user
        key = f"{self.own}:form:{token}"
        await self.redis.set(key, secrets.token_urlsafe(24), nx=True, ex=3600)
        return web.json_response({"data": {"token": await self.redis.get(key)}}, headers=headers)

    async def prices(self, request):
        refusal, headers = await self.limited(request, "open", f"prices:{self.address(request)}")
        if refusal is not None:
            return refusal
        coins = sorted({coin.strip().lower() for coin in request.query.get("coins", "").split(",") if coin.strip()})
        if not coins or not all(coin.isalnum() for coin in coins):
            return refuse(422, "which coins", **headers)
        key = f"{self.own}:prices:" + ",".join(coins)
        held = await self.redis.get(key)
        served = "HIT" if held else "MISS"
        if held is None:
            held = await self.fetch(key, coins)
        return web.Response(text=held, content_type="application/json", headers={**headers, "X-Served": served})

    async def fetch(self, key, coins):
        lease, fence = f"{key}:lease", secrets.token_hex(8)
        while "stampede" not in self.flaws:
            if await self.redis.set(lease, fence, nx=True, px=5000):
                # Somebody may have stored between our miss and our lease.
                if (held := await self.redis.get(key)) is None:
                    break
                await self.redis.delete(lease)
                return held
            await asyncio.sleep(0.02)
            if (held := await self.redis.get(key)) is not None:
                return held
        await self.redis.incr("shop:upstream")
        stamp = time.time()
        await asyncio.sleep(UPSTREAM_SECONDS)
        prices = [{"coin": coin, "price": "1.00", "last_updated": stamp} for coin in coins]
        text = json.dumps({"prices": prices})
        if self.flaws & {"stampede", "stale-drop"}:
            await self.redis.set(key, text, px=int(PRICE_SECONDS * 1000))
            await self.redis.delete(lease)
        else:
            await self.keep(keys=[key, lease], args=[fence, text, int(PRICE_SECONDS * 1000)])
        return text

    async def drop(self, request):
        user, token, headers = await self.guarded(request)
        if token is None:
            return user
        if (refusal := await self.formed(request, token, headers)) is not None:
            return refusal
        async for key in self.redis.scan_iter(f"{self.own}:prices:*"):
            if "stale-drop" not in self.flaws or not key.endswith(":lease"):
                await self.redis.unlink(key)
        return web.json_response({"dropped": True}, headers=headers)

    async def baskets(self, request):
        user, token, headers = await self.guarded(request)
        if token is None:
            return user
        held = await self.redis.hgetall(f"shop:baskets:{user}")
        found = [{"key": key, "label": label} for key, label in held.items()]
        return web.json_response({"baskets": found}, headers=headers)

    async def add_basket(self, request):
        user, token, headers = await self.guarded(request)
        if token is None:
            return user
        if (refusal := await self.formed(request, token, headers)) is not None:
            return refusal
        try:
            label = str((await request.json())["label"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return refuse(422, "need a label", **headers)
        key = secrets.token_hex(6)
        await self.redis.hset(f"shop:baskets:{user}", key, label)
        return web.json_response({"basket": {"key": key, "label": label}}, status=201, headers=headers)

    async def remove_basket(self, request):
        user, token, headers = await self.guarded(request)
        if token is None:
            return user
        if (refusal := await self.formed(request, token, headers)) is not None:
            return refusal
        removed = await self.redis.hdel(f"shop:baskets:{user}", request.match_info["key"])
        return web.Response(status=204 if removed else 404, headers=headers)

    async def report(self, request):
        user, token, headers = await self.guarded(request, "tight")
        return user if token is None else web.json_response({"report": user}, headers=headers)

    async def status(self, _request):
        try:
            up = bool(await self.redis.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            up = False
        word = {"status": "ok" if up else "unavailable", "services": {"redis": up}}
        return web.json_response(word, status=200 if up or "health" in self.flaws else 503)

    async def upstream_calls(self, _request):
        return web.json_response({"calls": int(await self.redis.get("shop:upstream") or 0)})


if __name__ == "__main__":
    port, url, *flaws = sys.argv[1:]
    logging.basicConfig()
    web.run_app(Shop(url, flaws).app(), host="127.0.0.1", port=int(port), print=None)
