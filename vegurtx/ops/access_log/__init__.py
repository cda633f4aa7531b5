"""The access log: a line for each request, written beside its way."""

from vegurtx.ops.access_log.log import FORMATS as FORMATS
from vegurtx.ops.access_log.log import AccessLog as AccessLog
from vegurtx.ops.access_log.writer import LineWriter as LineWriter
