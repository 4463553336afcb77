"""AIConexus service that keeps the registry of agent identities."""
