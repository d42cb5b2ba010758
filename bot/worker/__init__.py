"""The process that looks at pictures, and the fair, bounded queue before it; imports no torch."""

from bot.worker.desk import DetectorDesk
from bot.worker.errors import DeskClosed, DeskError, DetectorFailed, LayerGone, QueueFull, TooManyWaiting, Withdrawn
from bot.worker.nursery import Nursery
from bot.worker.requests import Asker, Checked, Want
from bot.worker.ticket import Ticket

__all__ = [
    "Asker",
    "Checked",
    "DeskClosed",
    "DeskError",
    "DetectorDesk",
    "DetectorFailed",
    "LayerGone",
    "Nursery",
    "QueueFull",
    "Ticket",
    "TooManyWaiting",
    "Want",
    "Withdrawn",
]
