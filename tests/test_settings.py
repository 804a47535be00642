"""The settings: everything from the environment, refused with one line that names the variable."""

from pathlib import Path

import pytest

from cryptosense.errors import ConfigurationError
from cryptosense.settings import DEFAULT_DATABASE_URL, Settings

SECRET = "s" * 32


def read(**environ: str) -> Settings:
    if "REDIS_URL" in environ:
        environ.setdefault("SIGNING_SECRET", SECRET)
    return Settings.from_environment(environ)


def refusal(**environ: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        read(**environ)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_nothing_set_is_memory_at_stage_off_with_a_random_secret():
    settings = read()
    assert settings.redis is None
    assert settings.stage == "off"
    assert settings.secret_is_random
    assert settings.signing_secret != read().signing_secret
    assert settings.database_url == DEFAULT_DATABASE_URL


def test_redis_url_alone_means_stage_complete():
    settings = read(REDIS_URL="redis://localhost")
    assert settings.stage == "complete"
    assert settings.redis is not None
    assert settings.redis.nodes == (("localhost", 6379),)


def test_an_empty_variable_counts_as_unset():
    settings = read(REDIS_URL="redis://localhost:6379", REDIS_PASSWORD="", REDIS_TLS="false", REDIS_DB="0")
    assert settings.redis is not None
    assert settings.redis.password is None
    assert not settings.redis.tls


def test_all_four_redis_variables_are_honoured():
    settings = read(REDIS_URL="redis://h:7000", REDIS_PASSWORD="p", REDIS_TLS="true", REDIS_DB="3", REDIS_USERNAME="u")
    assert settings.redis is not None
    assert (settings.redis.password, settings.redis.tls, settings.redis.db) == ("p", True, 3)
    assert settings.redis.username == "u"


def test_parts_inside_the_url_are_decoded():
    settings = read(REDIS_URL="rediss://us%40er:p%2Fw@[::1]:7000/4")
    assert settings.redis is not None
    assert settings.redis.nodes == (("::1", 7000),)
    assert (settings.redis.username, settings.redis.password) == ("us@er", "p/w")
    assert (settings.redis.tls, settings.redis.db) == (True, 4)


def test_sentinel_and_cluster_urls_name_every_node():
    sentinel = read(REDIS_URL="redis+sentinel://a:1,b,c:3/primary/2", SENTINEL_PASSWORD="x").redis
    assert sentinel is not None
    assert sentinel.nodes == (("a", 1), ("b", 26379), ("c", 3))
    assert (sentinel.kind, sentinel.service, sentinel.db) == ("sentinel", "primary", 2)
    cluster = read(REDIS_URL="redis+cluster://a:1,b:2").redis
    assert cluster is not None
    assert (cluster.kind, cluster.nodes) == ("cluster", (("a", 1), ("b", 2)))


@pytest.mark.parametrize("url", ["rediss://h", "rediss+sentinel://h/primary", "rediss+cluster://h"])
def test_every_form_of_the_url_can_ask_for_tls(url: str):
    encrypted, plain = read(REDIS_URL=url).redis, read(REDIS_URL=url.replace("rediss", "redis")).redis
    assert encrypted is not None
    assert plain is not None
    assert encrypted.tls
    assert not plain.tls


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"REDIS_URL": "redis://:a@h", "REDIS_PASSWORD": "b"}, "REDIS_PASSWORD"),
        ({"REDIS_URL": "redis://a@h", "REDIS_USERNAME": "b"}, "REDIS_USERNAME"),
        ({"REDIS_URL": "redis://h/1", "REDIS_DB": "2"}, "REDIS_DB"),
        ({"REDIS_URL": "redis://h/0", "REDIS_DB": "2"}, "REDIS_DB"),
        ({"REDIS_URL": "rediss://h", "REDIS_TLS": "false"}, "REDIS_TLS"),
        ({"REDIS_URL": "redis+cluster://h/1"}, "database 0"),
        ({"REDIS_URL": "redis+cluster://h", "REDIS_DB": "1"}, "database 0"),
        ({"REDIS_URL": "redis+sentinel://h:1"}, "service"),
        ({"REDIS_URL": "redis://h1:1,h2:2"}, "several hosts"),
        ({"REDIS_URL": "http://h"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://h:99999"}, "host:port"),
        ({"REDIS_URL": "redis://h/x"}, "database number"),
        ({"REDIS_URL": "redis://h?db=1"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://h", "REDIS_TLS_CA": "/nowhere/ca.pem", "REDIS_TLS": "true"}, "REDIS_TLS_CA"),
        ({"REDIS_URL": "redis://h", "SENTINEL_PASSWORD": "x"}, "Sentinel"),
        ({"REDIS_URL": "redis://h", "SIGNING_SECRET": ""}, "SIGNING_SECRET"),
        ({"SIGNING_SECRET": "short"}, "SIGNING_SECRET"),
        ({"REDIS_PASSWORD": "x"}, "REDIS_URL"),
        ({"MIGRATION_STAGE": "live"}, "MIGRATION_STAGE"),
        ({"MIGRATION_STAGE": "sideways"}, "MIGRATION_STAGE"),
        ({"RATE_LIMIT_API_MAX": "0"}, "RATE_LIMIT_API_MAX"),
        ({"RATE_LIMIT_API_MAX": "1e3"}, "RATE_LIMIT_API_MAX"),
        ({"RATE_LIMIT_LOGIN_MAX": "5"}, "RATE_LIMIT_LOGIN_MAX"),
        ({"RATE_LIMIT_AUTH_ON_OUTAGE": "admit"}, "RATE_LIMIT_AUTH_ON_OUTAGE"),
        ({"CSRF_GRACE_S": "nan"}, "CSRF_GRACE_S"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,proxy"}, "TRUSTED_PROXIES"),
        ({"ALLOWED_ORIGINS": "https://shop.example/"}, "ALLOWED_ORIGINS"),
        ({"ALLOWED_ORIGINS": "*"}, "ALLOWED_ORIGINS"),
        ({"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL"),
        ({"COINGECKO_URL": "coingecko"}, "COINGECKO_URL"),
        ({"KEY_PREFIX": "a{b}"}, "KEY_PREFIX"),
        ({"STATE_BUDGET_MS": "-1"}, "STATE_BUDGET_MS"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(environ: dict[str, str], named: str):
    assert named in refusal(**environ)


def test_no_refusal_and_no_repr_shows_a_secret():
    secret = "hush" * 8
    assert "hush" not in refusal(REDIS_URL=f"redis://:{secret}@h", REDIS_PASSWORD="other")
    assert "hush" not in refusal(REDIS_URL=f"redis://:{secret}@h:99999")
    assert "hush" not in refusal(REDIS_URL=f"redis://:x/{secret}@h")
    assert "hush" not in refusal(REDIS_URL=f"redis://:{secret}/x@h")
    settings = read(
        REDIS_URL=f"redis+sentinel://:{secret}@h/s",
        SENTINEL_PASSWORD=secret,
        SIGNING_SECRET=secret,
        COINGECKO_API_KEY=secret,
        DATABASE_URL=f"postgresql://u:{secret}@h/d",
    )
    assert "hush" not in repr(settings)


def test_each_policy_is_set_by_name():
    settings = read(RATE_LIMIT_API_MAX="7", RATE_LIMIT_API_WINDOW_MS="50", RATE_LIMIT_STRICT_ON_OUTAGE="refuse")
    assert (settings.policies["api"].limit, settings.policies["api"].window_ms) == (7, 50)
    assert settings.policies["strict"].on_outage == "refuse"
    assert settings.policies["auth"].limit == 5


def test_database_urls_get_their_asynchronous_driver():
    assert read(DATABASE_URL="postgres://u@h/d").database_url == "postgresql+asyncpg://u@h/d"
    assert read(DATABASE_URL="sqlite:////tmp/x.db").database_url == "sqlite+aiosqlite:////tmp/x.db"


def test_tls_files_come_in_pairs(tmp_path: Path):
    certificate = tmp_path / "client.pem"
    certificate.write_text("x")
    assert "belong together" in refusal(REDIS_URL="rediss://h", REDIS_TLS_CERT=str(certificate))
