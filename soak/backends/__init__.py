"""Back-ends of the soak's own: `server` answers as the request's target says, `faults` answer wrongly on purpose.

A request's target says everything: ``/plain/get?k=KEY&n=SIZE&f=chunked``. The response says whose it is
(``X-Soak-Id``, the request's id) and what was sent and received, so that the client can check both ways.
"""
