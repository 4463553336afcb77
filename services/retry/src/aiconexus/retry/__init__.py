"""Tries deliveries again, later and across processes, and gives up in order."""
