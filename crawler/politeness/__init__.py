"""Politeness: who we say we are, what a site forbids or reserves, how fast a host may be asked, when to try again."""

from crawler.politeness.agent import USER_AGENT_TOKEN, user_agent
from crawler.politeness.breaker import BreakerPolicy, BreakerState
from crawler.politeness.hosts import HostPacer
from crawler.politeness.optout import OPT_OUT_DIRECTIVES, opted_out, page_opted_out
from crawler.politeness.origins import host_of, origin_of
from crawler.politeness.refusals import HostUnavailable, OptedOut, Refusal, RobotsDisallowed
from crawler.politeness.retry import RetryPolicy
from crawler.politeness.robots import Robots
from crawler.politeness.tdmrep import Tdmrep

__all__ = [
    "OPT_OUT_DIRECTIVES",
    "USER_AGENT_TOKEN",
    "BreakerPolicy",
    "BreakerState",
    "HostPacer",
    "HostUnavailable",
    "OptedOut",
    "Refusal",
    "RetryPolicy",
    "Robots",
    "RobotsDisallowed",
    "Tdmrep",
    "host_of",
    "opted_out",
    "origin_of",
    "page_opted_out",
    "user_agent",
]
