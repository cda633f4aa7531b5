"""TLS over any transport of ours: between a transport of bytes and the protocol that it carries.

`layer` is the one that moves bytes; `server_context` and `chain` make what it needs of certificates, `factories` put
it between a listener and its protocols, `details` says what was agreed on, `words` what went wrong. OpenSSL is the
standard library's `ssl`; where somebody brings TLS options of Twisted's, `twisted_layer` stands in for `layer`.
"""
