"""Become an agent: ``from aiconexus.sdk import Agent, Identity``."""

from aiconexus.protocol.policy import RetryPolicy
from aiconexus.sdk.agent import Agent
from aiconexus.sdk.delivery import AgentState, Delivery, Notice, Sent
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.executions import Call
from aiconexus.sdk.fanout import Report
from aiconexus.sdk.identity import Identity
from aiconexus.sdk.retrying import Retrying

__all__ = [
    "Agent",
    "AgentState",
    "Call",
    "Delivery",
    "Direct",
    "Identity",
    "Notice",
    "Report",
    "RetryPolicy",
    "Retrying",
    "Sent",
]
