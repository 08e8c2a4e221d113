"""Notes with identifiers whose places are known: real notes, with Faker's identifiers in lines written for them.

The lines (``templates/phi_templates.tsv``) come in two sets: rules are tuned on one and measured on the other.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources

from faker import Faker

from clincode.types import Redaction

TEMPLATES_FILE = "phi_templates.tsv"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LOCALES = ("en_US", "en_US", "en_US", "en_US", "en_GB", "es_MX", "en_IN", "fr_FR")
_FACILITIES = (
    *("{last} Memorial Hospital", "St. {first}'s Medical Center", "{city} General Hospital", "{city} Medical Center"),
    *("{last} Family Clinic", "University of {city} Hospital", "{city} Community Hospital", "{last} Nursing Home"),
)


@dataclass(frozen=True, slots=True)
class MarkedNote:
    text: str
    identifiers: tuple[Redaction, ...]


class Identifiers:
    """Draws identifiers of every kind; the same for a seed."""

    def __init__(self, seed: int) -> None:
        self._fakers = [Faker(locale) for locale in _LOCALES]
        for index, faker in enumerate(self._fakers):
            faker.seed_instance(seed + index)
        self._us = self._fakers[0]
        self._random = random.Random(seed)
        self._makers: Mapping[str, tuple[str | None, Callable[[], str]]] = {
            "first": ("NAME", self._first),
            "last": ("NAME", self._last),
            "first_last": ("NAME", lambda: f"{self._first()} {self._last()}"),
            "last_first": ("NAME", lambda: f"{self._last()}, {self._first()}"),
            "initial": (None, lambda: f"{self._letters(1)}."),
            "title_name": ("NAME", self._titled),
            "title_name2": ("NAME", self._titled),
            "age": ("AGE", lambda: str(self._random.randint(90, 104))),
            "gender": (None, lambda: self._random.choice(("man", "woman", "female", "male"))),
            "date_slash": ("DATE", lambda: self._date("%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y")),
            "date_long": ("DATE", lambda: self._date("%B %d, %Y", "%b %d, %Y", "%B %d %Y")),
            "date_iso": ("DATE", lambda: self._date("%Y-%m-%d")),
            "date_dmy": ("DATE", lambda: self._date("%d %B %Y", "%d-%b-%Y")),
            "date_md": ("DATE", lambda: self._date("%B %d")),
            "date_month_year": ("DATE", lambda: self._date("%B %Y", "%m/%Y")),
            "month": ("DATE", lambda: self._date("%B")),
            "phone": ("PHONE", self._phone),
            "fax": ("FAX", self._phone),
            "email": ("EMAIL", self._us.email),
            "url": ("URL", lambda: self._us.url() + self._random.choice(("", "patients/" + self._digits(5)))),
            "ip": ("IP", lambda: self._random.choice((self._us.ipv4(), self._us.ipv4_private(), self._us.ipv6()))),
            "ssn": ("SSN", self._us.ssn),
            "mrn": ("MRN", lambda: self._random.choice(("", "", "M", "E-")) + self._digits(self._random.randint(6, 9))),
            "health_plan": ("HEALTH_PLAN", lambda: self._letters(3) + self._digits(9)),
            "account": (
                "ACCOUNT",
                lambda: self._random.choice((self._digits(9), f"{self._digits(3)}-{self._digits(6)}")),
            ),
            "license": (
                "LICENSE",
                lambda: self._random.choice(("", self._letters(1), self._letters(2))) + self._digits(7),
            ),
            "vin": ("VEHICLE", self._us.vin),
            "plate": ("VEHICLE", lambda: f"{self._digits(1)}{self._letters(3)}{self._digits(3)}"),
            "device": ("DEVICE", lambda: f"{self._letters(2)}{self._digits(6)}"),
            "biometric": ("BIOMETRIC", lambda: f"{self._letters(2)}-{self._digits(6)}"),
            "photo": ("PHOTO", lambda: f"IMG_{self._digits(4)}.{self._random.choice(('jpg', 'png'))}"),
            "other_id": ("OTHER_ID", lambda: f"{self._letters(1)}{self._digits(2)}-{self._digits(5)}"),
            "address": ("ADDRESS", lambda: self._us.address().replace("\n", ", ")),
            "city": ("ADDRESS", self._us.city),
            "city_state": ("ADDRESS", lambda: f"{self._us.city()}, {self._us.state()}"),
            "zip": ("ADDRESS", self._us.postcode),
            "facility": ("FACILITY", self._facility),
        }

    def fill(self, line: str) -> MarkedNote:
        """A line of the templates with its placeholders filled."""
        parts, marks, at, size = [], [], 0, 0
        for match in _PLACEHOLDER.finditer(line):
            category, make = self._makers[match[1]]
            value = make()
            parts += [line[at : match.start()], value]
            size += match.start() - at
            if category is not None:
                # A title before a name identifies nobody.
                start = size + (value.index(" ") + 1 if match[1].startswith("title_name") else 0)
                marks.append(Redaction(start, size + len(value), category))
            size += len(value)
            at = match.end()
        return MarkedNote("".join([*parts, line[at:]]), tuple(marks))

    def _first(self) -> str:
        return str(self._random.choice(self._fakers).first_name())

    def _last(self) -> str:
        return str(self._random.choice(self._fakers).last_name())

    def _titled(self) -> str:
        title = self._random.choice(("Mr.", "Mrs.", "Ms.", "Dr.", "Miss"))
        return f"{title} {self._random.choice(('', self._first() + ' '))}{self._last()}"

    def _date(self, *formats: str) -> str:
        day: date = self._us.date_between(date(1935, 1, 1), date(2026, 12, 31))
        return day.strftime(self._random.choice(formats))

    def _phone(self) -> str:
        a, b, c = self._digits(3, "2"), self._digits(3, "2"), self._digits(4)
        return self._random.choice(
            (f"({a}) {b}-{c}", f"{a}-{b}-{c}", f"{a}.{b}.{c}", f"+1 {a} {b} {c}", f"1-{a}-{b}-{c}")
        )

    def _facility(self) -> str:
        name = self._random.choice(_FACILITIES)
        return name.format(first=self._us.first_name(), last=self._us.last_name(), city=self._us.city())

    def _digits(self, count: int, first: str = "") -> str:
        return first + "".join(self._random.choices("0123456789", k=count - len(first)))

    def _letters(self, count: int) -> str:
        return "".join(self._random.choices("ABCDEFGHJKLMNPRSTVWXYZ", k=count))


def templates(purpose: str) -> list[str]:
    """Lines of one of the two sets, ``tuning`` or ``test``."""
    text = resources.files("training").joinpath("templates", TEMPLATES_FILE).read_text(encoding="utf-8")
    rows = [line.split("\t", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return [line for kind, line in rows[1:] if kind == purpose]


def marked_notes(texts: Sequence[str], *, purpose: str, seed: int, lines_a_note: int = 12) -> Iterator[MarkedNote]:
    """Each text with ``lines_a_note`` lines of the set between its own; the lines in turn, so that all are used."""
    identifiers, rng = Identifiers(seed), random.Random(seed)
    lines = templates(purpose)
    queue: list[str] = []
    for text in texts:
        pieces: list[MarkedNote] = [MarkedNote(line, ()) for line in text.split("\n")]
        for _ in range(lines_a_note):
            if not queue:
                queue = rng.sample(lines, len(lines))
            pieces.insert(rng.randint(0, len(pieces)), identifiers.fill(queue.pop()))
        yield _joined(pieces)


def _joined(pieces: Sequence[MarkedNote]) -> MarkedNote:
    marks, at = [], 0
    for piece in pieces:
        marks += [Redaction(at + mark.start, at + mark.end, mark.category) for mark in piece.identifiers]
        at += len(piece.text) + 1
    return MarkedNote("\n".join(piece.text for piece in pieces), tuple(marks))
