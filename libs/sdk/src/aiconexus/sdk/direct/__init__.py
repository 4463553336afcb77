"""
Direct channels between two agents: WebRTC (RFC 8825), with the signatures of both DIDs around it.

The stack is imported where it is used, and this package at the first connection: most agents never open one.
"""
