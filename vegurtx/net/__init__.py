"""Sockets: the only room that touches them. Bytes come in and go out here; what they mean is said elsewhere."""
