"""SCEP (RFC 8894): signed and sealed messages over plain HTTP, one label a fleet."""
