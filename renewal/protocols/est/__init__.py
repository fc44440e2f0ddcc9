"""EST (RFC 7030, RFC 8951) over mutual TLS, one label a fleet."""
