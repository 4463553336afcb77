"""What every AIConexus service shares: settings, logs, metrics and shutdown."""
