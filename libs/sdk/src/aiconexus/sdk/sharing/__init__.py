"""
Files of any size between two agents.

The sender offers a file under its hashes; the recipient accepts and says what it has of it already, so that either side
may die and go on. Chunks go through a data channel where there is one, and otherwise, few at a time, through the
mailbox. Offer, acceptance and completion are signed calls; each chunk has to have the hash that the offer is bound to.
"""
