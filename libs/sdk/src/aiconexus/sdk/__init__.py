"""Become an agent: ``from aiconexus.sdk import Agent, Identity``."""

from aiconexus.protocol.policy import RetryPolicy
from aiconexus.sdk.agent import Agent
from aiconexus.sdk.delivery import AgentState, Delivery, Notice, Sent
from aiconexus.sdk.direct.channel_config import DataChannelConfig, Priority
from aiconexus.sdk.direct.settings import Direct
from aiconexus.sdk.executions import Call
from aiconexus.sdk.fanout import Report
from aiconexus.sdk.identity import Identity
from aiconexus.sdk.retrying import Retrying
from aiconexus.sdk.sharing.taking import Offered, ReceivedFile

__all__ = [
    "Agent",
    "AgentState",
    "Call",
    "DataChannelConfig",
    "Delivery",
    "Direct",
    "Identity",
    "Notice",
    "Offered",
    "Priority",
    "ReceivedFile",
    "Report",
    "RetryPolicy",
    "Retrying",
    "Sent",
]
