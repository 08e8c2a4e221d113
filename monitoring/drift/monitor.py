"""Watches notes and answers as they come, and says what has drifted since when.

Constant memory: a ring of counts of words, and a few sums a week for the last weeks. Nothing of a note is kept but the
counts of ``words`` and ``answers``. For one thread; whoever shares it locks it.

What is tested, and when: words on the window as it slides, once it has ``LEAST_WINDOW`` notes; entity types on whole
ISO weeks (UTC), each once, when it is over (a test that is looked at daily would raise false alarms far beyond its 1%);
labels on the weeks that were reviewed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from monitoring.drift.answers import Answers, stability_index
from monitoring.drift.labels import LabelDrift, LabelWeek, judge
from monitoring.drift.reference import Reference
from monitoring.drift.types import TypeTest, compare_types
from monitoring.drift.words import BUCKETS, WINDOW_NOTES, WordWindow, telling_words, unnamed_shares

FORMAT = 1
LEAST_WINDOW = 1_000
"""Notes in the window from which its divergence may be an alert."""
WEEKS = 8
"""That are kept, the one that is going on among them."""
_CHECK_EVERY = 100
State = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Limits:
    word_kl: float = 0.15
    type_p: float = 0.01


@dataclass(frozen=True, slots=True)
class Alert:
    """``value`` is beyond ``limit``. ``since`` is when it was first seen so: a time, or the week of it."""

    kind: str
    value: float
    limit: float
    since: str
    advice: str


@dataclass(frozen=True, slots=True)
class Report:
    """What stands now; ``to_json`` is the whole of it in plain values."""

    at: datetime
    window_notes: int
    is_full: bool
    word_kl: float | None
    words: Sequence[tuple[str, float, float]]
    """Word, share in the window, share in the reference: those that add most to the divergence."""
    unnamed_share: tuple[float | None, float | None]
    """Of words that the reference does not name: found, and expected."""
    week: str | None
    """The last whole week that was tested for types."""
    types: TypeTest | None
    types_by_note_type: Mapping[str, TypeTest]
    labels: LabelDrift
    confidence_psi: float | None
    """Of the last whole week, or of this one where there is none before, as what follows."""
    entities_per_note: tuple[float | None, float | None]
    """Found, and expected."""
    outside_share: tuple[float | None, float | None]
    alerts: Sequence[Alert]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat(timespec="seconds")}


@dataclass
class DriftMonitor:
    """``observe`` each note that was answered, ``report`` when asked, ``state`` to be taken up again by ``restore``."""

    reference: Reference
    limits: Limits = Limits()
    window_notes: int = WINDOW_NOTES
    buckets: int = BUCKETS
    observed: int = field(default=0, init=False)
    """Notes since the state began."""
    label_weeks: Sequence[LabelWeek] = field(default=(), init=False)
    """Set by whoever reads the weekly scores; not part of the state, which is of what was observed."""

    def __post_init__(self) -> None:
        self._window = WordWindow(self.reference.words, notes=self.window_notes, buckets=self.buckets)
        self._weeks: dict[str, Answers] = {}
        self._words_since: datetime | None = None

    def observe(
        self,
        text_masked: str,
        entity_types: Sequence[str],
        confidences: Iterable[float],
        note_type: str,
        at: datetime,
        outside_share: float | None = None,
    ) -> None:
        """One note and its answer. ``outside_share`` is of its words in no entity (``answers.outside_share``).

        Raises:
            KeyError: a type of entity or note that is none; nothing of the note was counted then.
        """
        self._answers(at).add(entity_types, confidences, note_type, outside_share)
        self._window.add(text_masked)
        self.observed += 1
        if self.observed % _CHECK_EVERY == 0:
            self._check_words(at)

    def report(self, at: datetime) -> Report:
        """What stands at a time, which says what weeks are over."""
        divergence = self._check_words(at)
        week, types = self._last_test(at)
        labels = judge(self.label_weeks)
        recent = self._recent(at)
        answers = self.reference.answers
        return Report(
            at=at,
            window_notes=self._window.notes,
            is_full=self._window.is_full,
            word_kl=divergence,
            words=telling_words(self._window) if self._window.notes else (),
            unnamed_share=unnamed_shares(self._window) if self._window.notes else (None, None),
            week=week,
            types=types,
            types_by_note_type=self._by_note_type(week),
            labels=labels,
            confidence_psi=stability_index(recent.confidences, answers.confidences) if recent and answers else None,
            entities_per_note=(
                recent.entities_per_note if recent else None,
                answers.entities_per_note if answers else None,
            ),
            outside_share=(recent.outside_share if recent else None, answers.outside_share if answers else None),
            alerts=[*self._word_alert(divergence), *self._type_alert(at, types), *_label_alert(labels)],
        )

    def state(self) -> State:
        """Arrays to be kept as NPZ: counts of the reference's columns, and sums."""
        meta = {
            "format": FORMAT,
            "vocabulary": self.reference.words.vocabulary.fingerprint,
            "observed": self.observed,
            "words_since": self._words_since.isoformat() if self._words_since else None,
            "weeks": {week: answers.to_json() for week, answers in self._weeks.items()},
        }
        encoded = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        return {**{f"window_{name}": each for name, each in self._window.state().items()}, "meta": encoded}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go on where ``state`` stopped. What does not fit leaves the monitor as it is.

        Raises:
            ValueError: it is no state, of another reference's words, or of a window of another size.
        """
        try:
            meta = json.loads(state["meta"].tobytes())
            if meta["format"] != FORMAT:
                raise ValueError("another format")
            if meta["vocabulary"] != self.reference.words.vocabulary.fingerprint:
                raise ValueError("another reference")
            weeks = {str(week): Answers.from_json(each) for week, each in meta["weeks"].items()}
            since = datetime.fromisoformat(meta["words_since"]) if meta["words_since"] else None
            observed = int(meta["observed"])
            self._window.restore({name: state[f"window_{name}"] for name in ("ring", "notes", "at")})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no state of a drift monitor ({type(error).__name__})") from None
        self._weeks, self._words_since, self.observed = weeks, since, observed

    # -- inside

    def _answers(self, at: datetime) -> Answers:
        week = week_of(at)
        if week not in self._weeks:
            self._weeks[week] = Answers()
            for old in sorted(self._weeks)[:-WEEKS]:
                del self._weeks[old]
        return self._weeks.get(week) or Answers()  # older than all that are kept: counted among the words alone

    def _check_words(self, at: datetime) -> float | None:
        divergence = self._window.divergence()
        is_beyond = divergence is not None and self._window.notes >= LEAST_WINDOW and divergence > self.limits.word_kl
        self._words_since = (self._words_since or at) if is_beyond else None
        return divergence

    def _over(self, at: datetime) -> list[str]:
        """Weeks that are over, the last first."""
        return sorted((week for week in self._weeks if week < week_of(at)), reverse=True)

    def _recent(self, at: datetime) -> Answers | None:
        for week in [*self._over(at), week_of(at)]:
            if week in self._weeks:
                return self._weeks[week]
        return None

    def _test(self, week: str) -> TypeTest | None:
        answers = self.reference.answers
        return compare_types(self._weeks[week].types, answers.types) if answers else None

    def _last_test(self, at: datetime) -> tuple[str | None, TypeTest | None]:
        """Of the last whole week with enough notes."""
        for week in self._over(at):
            if (test := self._test(week)) is not None:
                return week, test
        return None, None

    def _by_note_type(self, week: str | None) -> dict[str, TypeTest]:
        """The same of each note type with enough notes: whether the mix within notes has changed, or that of notes."""
        answers = self.reference.answers
        if week is None or answers is None:
            return {}
        tests = {
            name: compare_types(moments, answers.by_note_type[name])
            for name, moments in self._weeks[week].by_note_type.items()
        }
        return {name: test for name, test in tests.items() if test is not None}

    def _word_alert(self, divergence: float | None) -> Iterable[Alert]:
        if self._words_since is not None and divergence is not None:
            since = self._words_since.isoformat(timespec="seconds")
            yield Alert(
                "words", divergence, self.limits.word_kl, since, "see which words, and where such notes come from"
            )

    def _type_alert(self, at: datetime, latest: TypeTest | None) -> Iterable[Alert]:
        if latest is None or latest.p >= self.limits.type_p:
            return
        since = ""
        for week in self._over(at):
            test = self._test(week)
            if test is not None and test.p >= self.limits.type_p:
                break
            since = week if test is not None else since
        yield Alert(
            "types", latest.p, self.limits.type_p, since, f"look at the shares: Cramér's V {latest.cramers_v:.3f}"
        )


def _label_alert(labels: LabelDrift) -> Iterable[Alert]:
    if labels.verdict in ("alert", "retrain") and labels.latest is not None:
        advice = "retrain" if labels.verdict == "retrain" else "look at what coders changed"
        yield Alert("labels", labels.latest.f1, labels.limit, labels.since or labels.latest.week, advice)


def week_of(at: datetime) -> str:
    """The ISO week in UTC, as ``clincode feedback sample`` names it: 2026-W48."""
    year, week, _ = at.astimezone(UTC).isocalendar()
    return f"{year}-W{week:02}"
