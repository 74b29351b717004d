"""Cron expressions in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from .domain.errors import ConfigurationError
from .given import configuration, text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class CronSchedule:
    """Ticks as Debian's cron has them: where both day of month and day of week are given, either will do. When clocks
    go forward, ticks at times that do not exist come right after the gap; when clocks go back, ticks at times that
    exist twice come the first time only. Expressions that run every hour or more often follow the hours as they pass.

    Raises `ConfigurationError` with the reason.
    """

    def __init__(self, expression: str, zone: str | ZoneInfo) -> None:
        text(configuration, "the cron expression", expression)
        if not isinstance(zone, str | ZoneInfo):
            raise configuration("tz", zone, 'give the name of a time zone, as in "Europe/Berlin"')
        self.expression = " ".join(expression.split())
        self.zone = zone if isinstance(zone, str) else zone.key or ""
        self._zone = _find_zone(self.zone)
        if len(self.expression) > 255:
            raise ConfigurationError(f"the cron expression {self.expression[:40]}… has more than 255 characters")
        try:
            CronSim(self.expression, datetime.now(self._zone))
        except CronSimError as error:
            raise ConfigurationError(
                f"{expression!r} is no cron expression ({error}): write minute, hour, day of month, month and day of "
                'week, as in "0 3 * * *" for 3 in the night'
            ) from None

    def after(self, at: int) -> int | None:
        for tick in CronSim(self.expression, self._local(at)):
            if (micros := _micros(tick)) > at:
                return micros
        return None

    def latest(self, at: int) -> int | None:
        for tick in CronSim(self.expression, self._local(at + 1), reverse=True):
            if (micros := _micros(tick)) <= at:
                return micros
        return None

    def _local(self, at: int) -> datetime:
        return (EPOCH + at * MICROSECOND).astimezone(self._zone)


def _find_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f'{name!r} is no time zone: use a name like "Europe/Berlin", or install the package tzdata where the '
            "system has none"
        ) from None


def _micros(tick: datetime) -> int:
    return (tick - EPOCH) // MICROSECOND
