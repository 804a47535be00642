"""A bare service for load: `/` tells the peer's address, `/slow` takes 100 ms, `/limited` refuses, `/post` rotates."""

import argparse
import asyncio
import itertools

from aiohttp import web

numbers = itertools.count()


async def peer(request):
    return web.json_response({"peer": request.remote}, headers={"X-Cache": "hit", "X-RateLimit-Remaining": "41"})


async def slow(_request):
    await asyncio.sleep(0.1)
    return web.json_response({})


async def limited(_request):
    return web.json_response({"code": "RATE_LIMIT_EXCEEDED"}, status=429, headers={"Retry-After": "7"})


async def own_words(_request):
    return web.json_response({"problem": {"word": "busy"}}, status=503, headers={"X-Wait": "3"})


async def post(request):
    body = await request.json()
    answer = {"token": request.headers.get("X-CSRF-Token"), "name": body["name"]}
    return web.json_response(answer, status=201, headers={"X-CSRF-Token": f"successor-{next(numbers)}"})


async def hang(_request):
    await asyncio.sleep(600)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    app = web.Application()
    app.add_routes([web.get("/", peer), web.get("/slow", slow), web.get("/limited", limited), web.get("/hang", hang)])
    app.add_routes([web.post("/post", post), web.get("/own-words", own_words)])
    web.run_app(
        app,
        host="127.0.0.1",
        port=parser.parse_args().port,
        print=lambda *_: print("ready", flush=True),
        access_log=None,
    )
