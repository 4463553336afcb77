"""Become an agent: ``from aiconexus.sdk import Agent, Identity``."""

from aiconexus.sdk.agent import Agent
from aiconexus.sdk.delivery import AgentState, Delivery, Notice, Sent
from aiconexus.sdk.identity import Identity

__all__ = ["Agent", "AgentState", "Delivery", "Identity", "Notice", "Sent"]
