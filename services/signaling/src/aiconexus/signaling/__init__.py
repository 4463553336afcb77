"""Introduces agents to each other: signals from one to the other, and the servers that help them meet."""
