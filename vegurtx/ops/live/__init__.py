"""What the admin page shows: one process's numbers as a plain dict, several such dicts as one, and the last minutes.

`Recorder` notes errors in `RecentErrors`; `snapshot` says how everything stands, and is sent as it is to whoever asks;
`merge` adds up what several worker processes say; `History` keeps samples, so that a page just opened has a past.
"""

from vegurtx.ops.live.history import History as History
from vegurtx.ops.live.merging import merge as merge
from vegurtx.ops.live.recent import RecentErrors as RecentErrors
from vegurtx.ops.live.snapshot import snapshot as snapshot
