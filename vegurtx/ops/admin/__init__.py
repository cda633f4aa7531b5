"""The admin API: a program's state as JSON, its numbers for Prometheus, and a few things to be done."""

from vegurtx.ops.admin.access import Access as Access
from vegurtx.ops.admin.access import TokenError as TokenError
from vegurtx.ops.admin.access import read_token as read_token
from vegurtx.ops.admin.api import AdminApi as AdminApi
from vegurtx.ops.admin.program import LocalProgram as LocalProgram
from vegurtx.ops.admin.service import AdminService as AdminService
from vegurtx.ops.admin.service import Bound as Bound
from vegurtx.ops.admin.service import bind_admin as bind_admin
