"""The one way through the house: the only module that knows the order of the stages.

    note → redact → sections → windows → logits → spans → senses → assertions → references → codes

What follows redaction sees the masked text alone; its offsets are those of the note.

``analyze(note)`` is ``analyze_batch([note])[0]``. A fault in one note becomes that note's ``AnalysisError`` and
leaves the others alone.
"""

import os
import time
import traceback
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from clincode.assertions import assert_context
from clincode.config import LINKER_FOLDER, SERVING_HEAD, TERMINOLOGY_FILE, ModelConfig
from clincode.decode import BioDecoder, token_entropy, with_doses, without_lead_ins
from clincode.errors import AnalysisError
from clincode.icd import Coder, IcdLinker, LinkingModel, Mention, Terminology, own_names, with_names
from clincode.integrity import verify_bundle
from clincode.labels import OUTSIDE, EntityType
from clincode.model import BertForClinicalNER, MentionEncoder, NerEngine
from clincode.phi import find_identifiers, masked
from clincode.references import resolve_references
from clincode.sections import is_header, split_sentences
from clincode.senses import expanded, resolve_abbreviations, resolve_words, with_abbreviations, with_words
from clincode.types import (
    Analysis,
    Assertion,
    Certainty,
    EncodedNote,
    Entity,
    FloatArray,
    Note,
    NoteStatistics,
    Redaction,
    Reference,
    Sentence,
    Span,
    Temporality,
)
from clincode.windows import Windower, merge_windows

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A note on its way: what the stages before the model made of it. ``text`` is the note with its identifiers masked;
    ``stage_ms`` fills as the note goes on."""

    note: Note
    text: str
    redactions: tuple[Redaction, ...]
    sentences: tuple[Sentence, ...]
    encoded: EncodedNote
    stage_ms: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """Everything that a model folder holds, ready to analyse notes. Not changed by use."""

    def __init__(self, config: ModelConfig, windower: Windower, engine: NerEngine, linker: IcdLinker) -> None:
        labels = config.heads[SERVING_HEAD]
        self.version = config.version
        self.precision = engine.precision
        self.terminology = linker.terminology
        self._windower = windower
        self._engine = engine
        self._coder = Coder(linker)
        self._names = linker.lookup.scanner
        self._decoder = BioDecoder(labels, config.temperature)
        self._outside = labels.index(OUTSIDE)

    @classmethod
    def from_bundle(cls, folder: Path, *, device: str | None = None, precision: str = "auto") -> "Pipeline":
        """The pipeline of a bundle: configuration, tokenizer, weights and terminology in one folder.

        Raises:
            BundleError: a file is missing, changed since the bundle was built, or does not fit; the message names it.
        """
        verify_bundle(folder)
        config = ModelConfig.load(folder)
        engine = NerEngine(BertForClinicalNER.load(folder, config), device=device, precision=precision)
        linker = load_linker(folder, device=device, precision=engine.precision)
        return cls(config, Windower.load(folder, config), engine, linker)

    def analyze(self, note: Note) -> Analysis:
        """Analyse one note; raises ``AnalysisError`` where a stage fails on it."""
        result = self.analyze_batch([note])[0]
        if isinstance(result, AnalysisError):
            raise result
        return result

    def analyze_batch(self, notes: Sequence[Note]) -> list[Analysis | AnalysisError]:
        """Analyse notes together, in order: one result a note, its analysis or its own error."""
        prepared = [_guarded("prepare", self._prepare, note) for note in notes]
        good = [item for item in prepared if isinstance(item, _Prepared)]
        logits = iter(self._logits(good))
        results: list[Analysis | AnalysisError] = []
        for item in prepared:
            rows = next(logits) if isinstance(item, _Prepared) else item
            if isinstance(item, AnalysisError):
                results.append(item)
            elif isinstance(rows, AnalysisError):
                results.append(rows)
            else:
                results.append(_guarded("finish", self._finish, item, rows))
        return results

    def _prepare(self, note: Note) -> _Prepared:
        stage_ms: dict[str, float] = {}
        with _timed(stage_ms, "redact"):
            redactions = find_identifiers(note.text)
            text = masked(note.text, redactions)
        with _timed(stage_ms, "sections"):
            sentences = split_sentences(text)
        with _timed(stage_ms, "windows"):
            encoded = self._windower.encode(text)
        return _Prepared(note, text, redactions, sentences, encoded, stage_ms)

    def _logits(self, notes: Sequence[_Prepared]) -> list[FloatArray | AnalysisError]:
        """Logits a word for each note. All windows go through the network together; where that fails (no memory, a
        note that breaks it) each note goes through alone, so that only the one at fault is lost."""
        results = _guarded("model", self._infer, notes)
        if isinstance(results, AnalysisError):
            return [_guarded("model", self._infer_one, note) for note in notes]
        return list(results)

    def _infer_one(self, note: _Prepared) -> FloatArray:
        return self._infer([note])[0]

    def _infer(self, notes: Sequence[_Prepared]) -> list[FloatArray]:
        clock: dict[str, float] = {}
        with _timed(clock, "model"):
            flat = iter(self._engine.logits([window for note in notes for window in note.encoded.windows]))
            merged = [merge_windows(note.encoded, [next(flat) for _ in note.encoded.windows]) for note in notes]
        for note in notes:
            note.stage_ms["model"] = clock["model"]
        return merged

    def _finish(self, item: _Prepared, logits: FloatArray) -> Analysis:
        note, stage_ms = item.note, item.stage_ms
        with _timed(stage_ms, "decode"):
            decoded = self._decoder.decode(logits, item.encoded.words, _breaks(item.encoded, item.sentences))
            spans = without_lead_ins(item.text, with_doses(item.text, decoded))
            found = [span for span in spans if not _is_no_mention(item.text, span, item.redactions)]
        with _timed(stage_ms, "senses"):
            words = resolve_words(item.text, item.sentences, found)
            meant = with_words(item.text, found, words)
            uses = resolve_abbreviations(item.text, item.sentences, meant)
            named = self._names.find(item.text, item.sentences)
            kept = [name for name in named if not _is_no_mention(item.text, name, item.redactions)]
            spans = with_names(with_abbreviations(meant, uses), kept)
        with _timed(stage_ms, "assertions"):
            asserted = tuple(_assert_all(item.text, item.sentences, spans))
        with _timed(stage_ms, "references"):
            references = resolve_references(item.text, item.sentences, spans)
            asserted = tuple(informed(item.text, item.sentences, asserted, references))
        with _timed(stage_ms, "codes"):
            written = [expanded(item.text, span, uses) for _, span, _ in asserted]
            mentions = [
                Mention(span, text, assertion, sentence)
                for (sentence, span, assertion), (text, _) in zip(asserted, written, strict=True)
            ]
            coded = self._coder.code(item.text, note.note_type, item.sentences, mentions)
        entities = tuple(
            Entity(
                note.text[mention.span.start : mention.span.end],
                mention.span,
                mention.assertion,
                mention.sentence.section,
                codes,
                expansion,
            )
            for mention, (_, expansion), codes in zip(mentions, written, coded.suggestions, strict=True)
        )
        statistics = self._statistics(spans, logits, stage_ms)
        return Analysis(note, entities, coded.codes, references, item.redactions, statistics=statistics)

    def _statistics(self, spans: Sequence[Span], logits: FloatArray, stage_ms: dict[str, float]) -> NoteStatistics:
        if not len(logits):
            return NoteStatistics(stage_ms)
        confidence = sum(span.confidence for span in spans) / len(spans) if spans else None
        outside = float((logits.argmax(axis=1) == self._outside).mean())
        return NoteStatistics(stage_ms, confidence, float(token_entropy(logits).mean()), outside)


def load_linker(
    folder: Path, *, device: str | None = None, precision: str = "fp32", environ: Mapping[str, str] = os.environ
) -> IcdLinker:
    """The linker of a bundle: terminology, and encoder and ranker where the bundle has them.

    ``environ`` names the user's own sources of names (``clincode.icd.sources``).

    Raises:
        BundleError: a file is missing, damaged or does not fit; the message names it.
        ResourceError: a file of the user's own sources of names is missing or malformed.
    """
    terminology = Terminology.load(folder / TERMINOLOGY_FILE)
    own = own_names(terminology, environ)
    if not (folder / LINKER_FOLDER).is_dir():
        return IcdLinker(terminology, own=own)
    model = LinkingModel.load(folder / LINKER_FOLDER, terminology)
    dimensions = model.names.vectors.shape[1]
    encoder = MentionEncoder.load(folder / LINKER_FOLDER, dimensions, device=device, precision=precision)
    return IcdLinker(terminology, model, encoder.embed, own, encoder.words())


def _is_no_mention(text: str, span: Span, redactions: Sequence[Redaction]) -> bool:
    """Whether the span shows nothing but an identifier or the header of a section (anatomy is one too: "Abdomen:")."""
    is_title = span.type is not EntityType.ANATOMY and is_header(text, span.start, span.end)
    return is_title or _is_redacted(span, redactions)


def _is_redacted(span: Span, redactions: Sequence[Redaction]) -> bool:
    """Whether the span shows nothing but an identifier."""
    index = bisect_right(redactions, span.start, key=lambda redaction: redaction.start) - 1
    return index >= 0 and span.end <= redactions[index].end


def _breaks(encoded: EncodedNote, sentences: Sequence[Sentence]) -> frozenset[int]:
    """Indices of the words that open a sentence: no entity continues into them."""
    starts = [start for start, _ in encoded.words]
    return frozenset(bisect_right(starts, sentence.start - 1) for sentence in sentences)


def _assert_all(
    text: str, sentences: Sequence[Sentence], spans: Sequence[Span]
) -> Iterator[tuple[Sentence, Span, Assertion]]:
    """Each span with its sentence and its context; spans come in the order of the text."""
    starts = [sentence.start for sentence in sentences]
    for index, group in groupby(spans, key=lambda span: bisect_right(starts, span.start) - 1):
        sentence, mentions = sentences[index], tuple(group)
        for span, assertion in zip(mentions, assert_context(text, sentence, mentions), strict=True):
            yield sentence, span, assertion


def informed(
    text: str,
    sentences: Sequence[Sentence],
    asserted: Sequence[tuple[Sentence, Span, Assertion]],
    references: Sequence[Reference],
) -> Iterator[tuple[Sentence, Span, Assertion]]:
    """The mentions, with what is said where they are only referred to ("A PE was suspected. It was ruled out."). What
    a mention's own sentence says of it stands, unless that is nothing in particular."""
    starts = [sentence.start for sentence in sentences]
    said: dict[tuple[int, int], Assertion] = {}
    types = {(span.start, span.end): span.type for _, span, _ in asserted}
    for reference in references:
        place = (reference.antecedent_start, reference.antecedent_end)
        sentence = sentences[bisect_right(starts, reference.start) - 1]
        mention = Span(reference.start, reference.end, types[place], 1.0)
        (found,) = assert_context(text, replace(sentence, section=None), (mention,))
        if found != Assertion():
            said[place] = found
    for sentence, span, assertion in asserted:
        later = said.get((span.start, span.end))
        is_open = assertion.certainty is not Certainty.NEGATED and assertion.temporality is Temporality.CURRENT
        yield sentence, span, replace(later, experiencer=assertion.experiencer) if later and is_open else assertion


def _guarded(stage: str, function: Callable[..., _T], *arguments: object) -> _T | AnalysisError:
    """The function's value, or an ``AnalysisError`` that tells the exception's type and place but not its text."""
    try:
        return function(*arguments)
    except Exception as error:  # whatever it is, it must not reach the note's neighbours
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return AnalysisError(stage, f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}")


@contextmanager
def _timed(stage_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        stage_ms[stage] = (time.perf_counter() - start) * 1000
