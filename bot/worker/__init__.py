"""Who looks at pictures, here or elsewhere, and the fair, bounded queue before it; imports no torch."""

from bot.worker.afar import DetectorAway
from bot.worker.choice import open_desk
from bot.worker.desk import DetectorDesk
from bot.worker.errors import (
    DeskClosed,
    DeskError,
    DetectorFailed,
    DiedOfPicture,
    LayerGone,
    QueueFull,
    TooManyWaiting,
    Withdrawn,
)
from bot.worker.nursery import Nursery
from bot.worker.reception import Desk
from bot.worker.remote import RemoteDesk
from bot.worker.requests import Asker, Checked, Want
from bot.worker.ticket import Ticket

__all__ = [
    "Asker",
    "Checked",
    "Desk",
    "DeskClosed",
    "DeskError",
    "DetectorAway",
    "DetectorDesk",
    "DetectorFailed",
    "DiedOfPicture",
    "LayerGone",
    "Nursery",
    "QueueFull",
    "RemoteDesk",
    "Ticket",
    "TooManyWaiting",
    "Want",
    "Withdrawn",
    "open_desk",
]
