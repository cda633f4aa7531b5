"""The command line: where a user's words become a running proxy. Only here the global reactor is chosen and used."""
