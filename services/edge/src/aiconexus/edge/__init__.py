"""AIConexus service that lets agents in over HTTP and WebSocket."""
