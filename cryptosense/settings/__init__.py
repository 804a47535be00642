"""Every setting of the service, read from the environment once.

`Settings.from_environment` either gives a whole, checked object or raises `ConfigurationError` with one line that
names the variable. An empty variable counts as unset. Secrets are left out of every repr.
"""

from cryptosense.settings.addresses import DEFAULT_DATABASE_URL
from cryptosense.settings.policies import PolicySettings
from cryptosense.settings.redis_address import RedisSettings
from cryptosense.settings.settings import STAGES, Settings, StageName

__all__ = ["DEFAULT_DATABASE_URL", "STAGES", "PolicySettings", "RedisSettings", "Settings", "StageName"]
