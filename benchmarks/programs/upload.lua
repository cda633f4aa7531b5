-- Each request carries a megabyte.
wrk.method = "POST"
wrk.path = "/upload"
wrk.body = string.rep("x", 1048576)
