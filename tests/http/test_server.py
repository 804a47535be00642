"""What the server does beside uvicorn's own, in the test's process."""

import gc
import socket

import uvicorn
from fastapi import FastAPI

from cryptosense.http.server import OneInstance


async def test_what_was_built_before_the_first_request_is_no_matter_for_the_garbage_collector(capsys):
    config = uvicorn.Config(FastAPI(), lifespan="off", log_config=None)
    config.load()
    server = OneInstance(config, url="http://here", begin_drain=lambda: None, drain_s=0)
    server.lifespan = config.lifespan_class(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        try:
            await server.startup(sockets=[listener])
            frozen, watched = gc.get_freeze_count(), len(gc.get_objects())
        finally:
            gc.unfreeze()
            await server.shutdown(sockets=[listener])
    assert watched < frozen / 10
    assert capsys.readouterr().out == "ready http://here\n"
