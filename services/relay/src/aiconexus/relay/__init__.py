"""AIConexus service that delivers messages between agents."""
