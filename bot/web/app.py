"""create_app: pages, API, description, errors and headers, put together."""

from __future__ import annotations

from bot.chat.app import App
from bot.web.admission import COSTLY, Admission
from bot.web.api import add_api, max_bytes
from bot.web.description import Described
from bot.web.docs_page import add_docs
from bot.web.pages import add_pages
from bot.web.problems import add_problems
from bot.web.security import Guard
from bot.web.upload import HeardOut, Small

_HEARD = 4  # times the largest picture: so much is read of what is refused


def create_app(app: App) -> Described:
    """The web application over a core that is open, and stays so longer. Raises KeysError, NobodyServed."""
    web = Described(title="Faces", version="1", docs_url=None, redoc_url=None, redirect_slashes=False)
    web.params = app.params.web
    web.add_middleware(Small, pictures=COSTLY)
    web.add_middleware(Guard, admission=Admission(app.params.web))
    web.add_middleware(HeardOut, most=_HEARD * max_bytes(app.params))
    add_problems(web)
    add_api(web, app)
    add_docs(web)
    add_pages(web, max_bytes(app.params))
    return web
