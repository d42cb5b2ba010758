"""Sites for the crawler's tests: real servers on loopback, written as by a stranger who owes the crawler nothing."""

from tests.sites.expected import KEPT, OUTCOMES, REFUSED, Expected
from tests.sites.journal import Request, high_water
from tests.sites.robots import ROBOTS, Robots, rules
from tests.sites.server import Site, site

__all__ = [
    "KEPT",
    "OUTCOMES",
    "REFUSED",
    "ROBOTS",
    "Expected",
    "Request",
    "Robots",
    "Site",
    "high_water",
    "rules",
    "site",
]
