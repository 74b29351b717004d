"""A Django site of one file, as gunicorn serves it: `tests.integration.django_site:application`."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from backburner import Backburner

URL = os.environ["BACKBURNER_DATABASE_URL"]
_parts = urlsplit(URL)
DATABASE: dict[str, Any] = (
    {"ENGINE": "django.db.backends.sqlite3", "NAME": URL.removeprefix("sqlite:///")}
    if _parts.scheme == "sqlite"
    else {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _parts.path.lstrip("/"),
        "USER": _parts.username,
        "HOST": _parts.hostname,
        "PORT": _parts.port or 5432,
    }
)
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"], DATABASES={"default": DATABASE}, ROOT_URLCONF=__name__, SECRET_KEY="x", USE_TZ=True
)
django.setup()
bb = Backburner(URL)


@bb.task
def shout(run: Any, words: str) -> str:
    return words.upper()


BEFORE_THE_FORK = shout.submit_sync("loaded").id
"""So that gunicorn's workers inherit a Backburner that is open."""


def create(request: HttpRequest) -> JsonResponse:
    job = shout.submit_sync(request.GET["words"])
    return JsonResponse({"id": job.id}, status=202)


def show(request: HttpRequest, job: str) -> JsonResponse:
    return JsonResponse({"result": bb.handle(job).result_sync(30)})


def order(request: HttpRequest) -> JsonResponse:
    """Commits with the request's own transaction, or not at all."""
    names = []
    try:
        with transaction.atomic():
            connection.ensure_connection()
            names.append(bb.submit_in(connection.connection, shout, request.GET["words"]).id)
            if "fails" in request.GET:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    return JsonResponse({"id": names[0]})


urlpatterns = [path("create", create), path("show/<job>", show), path("order", order)]
application = get_wsgi_application()
