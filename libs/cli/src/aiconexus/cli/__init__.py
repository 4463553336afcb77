"""The aiconexus command."""
