"""The proxy's own log: what `twisted.logger` events look like, and which of them are written."""

from vegurtx.ops.proxy_log.levels import LevelError as LevelError
from vegurtx.ops.proxy_log.levels import Levels as Levels
from vegurtx.ops.proxy_log.levels import parse_levels as parse_levels
from vegurtx.ops.proxy_log.observer import STYLES as STYLES
from vegurtx.ops.proxy_log.observer import log_observer as log_observer
from vegurtx.ops.proxy_log.passing_on import packed as packed
from vegurtx.ops.proxy_log.passing_on import unpacked as unpacked
