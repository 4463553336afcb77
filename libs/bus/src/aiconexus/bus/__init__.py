"""NATS access of AIConexus: connections, credentials and streams."""
