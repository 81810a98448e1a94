"""Times in cron's form, as EventBridge Scheduler writes them."""

from __future__ import annotations

from ciml.core.errors import ConfigurationError
from ciml.core.value import Value

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class _Field(Value, frozen=True, kw_only=True):
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    """Names of the values from `low` on."""


_FIELDS = (
    _Field(name="minute", low=0, high=59),
    _Field(name="hour", low=0, high=23),
    _Field(name="day of the month", low=1, high=31),
    _Field(name="month", low=1, high=12, words=_MONTHS),
    # 7 is Sunday as well.
    _Field(name="day of the week", low=0, high=7, words=_DAYS),
)


def aws_cron(text: str) -> tuple[str, ...]:
    """The `cron(…)` expressions that together mean what five fields of cron mean.

    They are two where both days are restricted: cron then means either, and AWS has no word for it.

    Raises:
        ConfigurationError: it is no such time.

    Source: POSIX crontab; EventBridge Scheduler user guide, "Cron-based schedules".
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise _wrong(text, f"has {len(fields)} fields, not five")
    minute, hour, day, month, weekday = (
        _values(part, field, text) for part, field in zip(fields, _FIELDS, strict=True)
    )
    weekdays = {value % 7 for value in weekday}
    time = f"{_listed(minute, 60)} {_listed(hour, 24)}"
    months = _listed(month, 12)
    on_weekdays = ",".join(_DAYS[value] for value in sorted(weekdays))
    found = []
    if len(day) < 31 or len(weekdays) == 7:
        found.append(f"cron({time} {_listed(day, 31)} {months} ? *)")
    if len(weekdays) < 7:
        found.append(f"cron({time} ? {months} {on_weekdays} *)")
    return tuple(found)


def _values(part: str, field: _Field, text: str) -> set[int]:
    """All values that a field allows."""
    found: set[int] = set()
    for item in part.split(","):
        span, slash, step = item.partition("/")
        if slash and (not step.isdecimal() or int(step) == 0):
            raise _wrong(text, f"has the step {step!r} for the {field.name}")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = field.low, field.high
        else:
            low = _value(first, field, text)
            high = _value(last, field, text) if dash else field.high if slash else low
        if low > high:
            raise _wrong(text, f"has a range that runs backwards for the {field.name}: {span}")
        found.update(range(low, high + 1, int(step) if slash else 1))
    return found


def _value(word: str, field: _Field, text: str) -> int:
    if word.upper() in field.words:
        return field.low + field.words.index(word.upper())
    if word.isascii() and word.isdecimal() and field.low <= int(word) <= field.high:
        return int(word)
    raise _wrong(text, f"has {word!r} for the {field.name}")


def _listed(values: set[int], all_of_them: int) -> str:
    return "*" if len(values) == all_of_them else ",".join(map(str, sorted(values)))


def _wrong(text: str, fault: str) -> ConfigurationError:
    return ConfigurationError(
        f"triggers.schedule: {text!r} {fault}", hint='Five fields in UTC: "0 3 * * 1" is Monday, 3:00.'
    )
