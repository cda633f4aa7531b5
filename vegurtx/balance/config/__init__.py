"""The balancer's YAML file: models, and all that is wrong with a file at once.

    text → source.py (values, and the line of each) → the sections' models → agreement.py → `Config`

`load` is the way in; problems.py and findings.py make the lines that a person reads. The models are frozen, and their
fields are named as the file's keys.
"""

from vegurtx.balance.config.headers import HeaderRulesConfig, HeadersConfig
from vegurtx.balance.config.health import ExpectConfig, HealthCheckConfig, PassiveHealthConfig
from vegurtx.balance.config.limits import BreakerConfig, QueueConfig, RetryConfig
from vegurtx.balance.config.load import load
from vegurtx.balance.config.matchers import MatcherConfig, PatternConfig, RewriteConfig
from vegurtx.balance.config.problems import ConfigError
from vegurtx.balance.config.replicas import ReplicaConfig, TlsConfig
from vegurtx.balance.config.schema import json_schema
from vegurtx.balance.config.services import Config, ServiceConfig, SplitConfig
from vegurtx.balance.config.session import StickyConfig
from vegurtx.balance.config.strategy import StrategyConfig

__all__ = [
    "BreakerConfig",
    "Config",
    "ConfigError",
    "ExpectConfig",
    "HeaderRulesConfig",
    "HeadersConfig",
    "HealthCheckConfig",
    "MatcherConfig",
    "PassiveHealthConfig",
    "PatternConfig",
    "QueueConfig",
    "ReplicaConfig",
    "RetryConfig",
    "RewriteConfig",
    "ServiceConfig",
    "SplitConfig",
    "StickyConfig",
    "StrategyConfig",
    "TlsConfig",
    "json_schema",
    "load",
]
