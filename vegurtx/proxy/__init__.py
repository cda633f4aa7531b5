"""One request's life: from `init` to `terminate`, through the chain, to a back-end and home again."""
