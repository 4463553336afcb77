"""Client library for AIConexus agents."""
