"""What is said: envelopes, identities and subjects. No I/O, no clock, no randomness."""
