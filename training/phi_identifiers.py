"""Invented identifiers of every kind that a note can hold, drawn with Faker: the same for a seed."""

import random
from collections.abc import Callable, Mapping
from datetime import date

from faker import Faker

_LOCALES = ("en_US", "en_US", "en_US", "en_US", "en_GB", "es_MX", "en_IN", "fr_FR")
_FACILITIES = (
    *("{last} Memorial Hospital", "St. {first}'s Medical Center", "{city} General Hospital", "{city} Medical Center"),
    *("{last} Family Clinic", "University of {city} Hospital", "{city} Community Hospital", "{last} Nursing Home"),
    *("{city} VA Medical Center", "Mount {last} Hospital", "{last} Pharmacy", "{city} Dialysis Center"),
)
_NINETIES = ("ninety-one", "ninety-two", "ninety-four", "ninety-seven", "ninety-eight")
_ORDINAL_ENDS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}

Maker = tuple[str | None, Callable[[], str]]
"""The category of what is made, or None where it identifies nobody, and what makes it."""


class Identifiers:
    """``makers`` maps the placeholders of the templates to what fills them."""

    def __init__(self, seed: int) -> None:
        self._fakers = [Faker(locale) for locale in _LOCALES]
        for index, faker in enumerate(self._fakers):
            faker.seed_instance(seed + index)
        self._us = self._fakers[0]
        self._random = random.Random(seed)
        self.makers: Mapping[str, Maker] = {
            **self._people(),
            **self._dates(),
            **self._contacts(),
            **self._numbers(),
            **self._places(),
        }

    def _people(self) -> Mapping[str, Maker]:
        return {
            "first": ("NAME", self._first),
            "last": ("NAME", self._last),
            "first_last": ("NAME", lambda: f"{self._first()} {self._last()}"),
            "last_first": ("NAME", lambda: f"{self._last()}, {self._first()}"),
            "name_middle": ("NAME", lambda: f"{self._first()} {self._letters(1)}. {self._last()}"),
            "name_hyphen": ("NAME", lambda: f"{self._first()} {self._last()}-{self._last()}"),
            "name_caps": ("NAME", self._in_capitals),
            "initial": (None, lambda: f"{self._letters(1)}."),
            "title_name": ("NAME", self._titled),
            "title_name2": ("NAME", self._titled),
            "gender": (None, lambda: self._random.choice(("man", "woman", "female", "male"))),
            "age": ("AGE", lambda: str(self._random.randint(90, 104))),
            "age_words": ("AGE", lambda: self._random.choice(_NINETIES)),
        }

    def _dates(self) -> Mapping[str, Maker]:
        return {
            "date_slash": ("DATE", lambda: self._date("%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y")),
            "date_long": ("DATE", lambda: self._date("%B %d, %Y", "%b %d, %Y", "%B %d %Y")),
            "date_iso": ("DATE", lambda: self._date("%Y-%m-%d")),
            "date_dmy": ("DATE", lambda: self._date("%d %B %Y", "%d-%b-%Y")),
            "date_md": ("DATE", lambda: self._date("%B %d")),
            "date_month_year": ("DATE", lambda: self._date("%B %Y", "%m/%Y")),
            "date_short": ("DATE", lambda: self._date("%m/%d")),
            "date_ordinal": ("DATE", self._ordinal),
            "month": ("DATE", lambda: self._date("%B")),
        }

    def _contacts(self) -> Mapping[str, Maker]:
        return {
            "phone": ("PHONE", self._phone),
            "phone_ext": ("PHONE", lambda: self._phone() + self._random.choice((" x", " ext. ")) + self._digits(3)),
            "phone_bare": ("PHONE", lambda: self._digits(10, "2")),
            "phone_abroad": (
                "PHONE",
                lambda: f"+{self._random.choice((34, 44, 52, 91))} {self._digits(3, '2')} 555 0142",
            ),
            "fax": ("FAX", self._phone),
            "email": ("EMAIL", self._us.email),
            "url": ("URL", lambda: self._us.url() + self._random.choice(("", "patients/" + self._digits(5)))),
            "url_bare": ("URL", lambda: f"portal.{self._us.domain_name()}/p/{self._digits(4)}"),
            "ip": ("IP", lambda: self._random.choice((self._us.ipv4(), self._us.ipv4_private(), self._us.ipv6()))),
        }

    def _numbers(self) -> Mapping[str, Maker]:
        return {
            "ssn": ("SSN", self._us.ssn),
            "ssn_bare": ("SSN", lambda: self._us.ssn().replace("-", self._random.choice(("", " ")))),
            "ssn_last4": ("SSN", lambda: self._digits(4)),
            "mrn": ("MRN", lambda: self._one_of("", "", "M", "E-") + self._digits(self._random.randint(6, 9))),
            "mrn_dashed": ("MRN", lambda: self._one_of("00-", "", "1-") + f"{self._digits(4)}-{self._digits(4)}"),
            "health_plan": ("HEALTH_PLAN", lambda: self._letters(3) + self._digits(9)),
            "mbi": ("HEALTH_PLAN", self._medicare),
            "account": ("ACCOUNT", lambda: self._one_of(self._digits(9), f"{self._digits(3)}-{self._digits(6)}")),
            "card": ("ACCOUNT", lambda: " ".join(self._digits(4, first) for first in ("4", "", "", ""))),
            "license": ("LICENSE", lambda: self._one_of("", self._letters(1), self._letters(2)) + self._digits(7)),
            "vin": ("VEHICLE", self._us.vin),
            "plate": ("VEHICLE", lambda: f"{self._digits(1)}{self._letters(3)}{self._digits(3)}"),
            "device": ("DEVICE", lambda: f"{self._letters(2)}{self._digits(6)}"),
            "serial": ("DEVICE", lambda: f"{self._letters(3)}-{self._digits(5)}{self._letters(1)}"),
            "mac": ("DEVICE", lambda: self._us.mac_address().upper()),
            "udi": ("DEVICE", lambda: f"(01){self._digits(14)}(17){self._digits(6)}(10){self._digits(6)}A"),
            "biometric": ("BIOMETRIC", lambda: f"{self._letters(2)}-{self._digits(6)}"),
            "photo": ("PHOTO", lambda: f"IMG_{self._digits(4)}.{self._one_of('jpg', 'png')}"),
            "other_id": ("OTHER_ID", lambda: f"{self._letters(1)}{self._digits(2)}-{self._digits(5)}"),
        }

    def _places(self) -> Mapping[str, Maker]:
        return {
            "address": ("ADDRESS", lambda: self._us.address().replace("\n", ", ")),
            "address_lines": ("ADDRESS", self._us.address),
            "street": ("ADDRESS", self._us.street_address),
            "po_box": ("ADDRESS", lambda: f"P.O. Box {self._digits(4)}, {self._us.city()}, {self._state_zip()}"),
            "city": ("ADDRESS", self._us.city),
            "city_state": ("ADDRESS", lambda: f"{self._us.city()}, {self._us.state()}"),
            "zip": ("ADDRESS", self._us.postcode),
            "zip4": ("ADDRESS", lambda: f"{self._us.postcode()}-{self._digits(4)}"),
            "facility": ("FACILITY", self._facility),
        }

    def _first(self) -> str:
        return str(self._random.choice(self._fakers).first_name())

    def _last(self) -> str:
        return str(self._random.choice(self._fakers).last_name())

    def _in_capitals(self) -> str:
        return f"{self._last()}, {self._first()}".upper()

    def _titled(self) -> str:
        title = self._one_of("Mr.", "Mrs.", "Ms.", "Dr.", "Miss")
        return f"{title} {self._one_of('', self._first() + ' ')}{self._last()}"

    def _day(self) -> date:
        day: date = self._us.date_between(date(1935, 1, 1), date(2026, 12, 31))
        return day

    def _date(self, *formats: str) -> str:
        return self._day().strftime(self._one_of(*formats))

    def _ordinal(self) -> str:
        day = self._day()
        ordinal = f"{day.day}{_ORDINAL_ENDS.get(day.day, 'th')}"
        return self._one_of(f"{ordinal} of {day:%B}", f"{ordinal} {day:%B} {day.year}")

    def _phone(self) -> str:
        a, b, c = self._digits(3, "2"), self._digits(3, "2"), self._digits(4)
        return self._one_of(f"({a}) {b}-{c}", f"{a}-{b}-{c}", f"{a}.{b}.{c}", f"+1 {a} {b} {c}", f"1-{a}-{b}-{c}")

    def _medicare(self) -> str:
        return self._us.bothify("%?#%-?#%-??##", letters="ACDEFGHJKMNPQRTUVWXY")

    def _facility(self) -> str:
        name = self._one_of(*_FACILITIES)
        return name.format(first=self._us.first_name(), last=self._us.last_name(), city=self._us.city())

    def _state_zip(self) -> str:
        return f"{self._us.state_abbr()} {self._us.postcode()}"

    def _one_of(self, *choices: str) -> str:
        return self._random.choice(choices)

    def _digits(self, count: int, first: str = "") -> str:
        return first + "".join(self._random.choices("0123456789", k=count - len(first)))

    def _letters(self, count: int) -> str:
        return "".join(self._random.choices("ABCDEFGHJKLMNPRSTVWXYZ", k=count))
