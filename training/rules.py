"""The rule-based baseline: a dictionary of the training data, hand-written patterns, and negation by a window of words.

The patterns are regular expressions over the words of a sentence in lower case, joined by single spaces. A rule (an
entry of the dictionary or a pattern) stays where it proves right often enough in the training data, so that one table
serves corpora with different guidelines. What overlaps is settled as the corpora's guideline settles it: the longest
first, then the earliest. Negation follows NegEx (Chapman et al. 2001): a phrase that negates, within five words.

Nothing here is served; it is what a model is measured against.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from clincode.decode import spans_of
from clincode.labels import OUTSIDE
from training.baseline import build_entity_dictionary, longest_form
from training.corpora import TaggedSentence

MIN_PRECISION = 0.4
"""A rule stays where at least this share of its matches in the training data is right. Leaving a rule out begins to pay
at half of the F1 to be had; chosen by cross-validation on training parts, where 0.2 to 0.4 hardly differ."""

WINDOW = 5
"""Words between a negation and what it negates, at most."""

CLASSES = {
    "number": r"\d+(?:_?[.,]_?\d+)?",
    "unit": r"(?:mg|mcg|µg|g|units?|iu|tablets?)(?:_?/_?(?:kg|m2|m_?2|day|d|h|hr|min))*(?!_?/_?d?m?l\b)",
    "often": r"/_day a_day bid daily every_day once_daily per_day qd qid tid twice_a_day twice_daily weekly",
    "side": r"""
        anterior bilateral both distal inferior inner lateral left lower medial middle outer posterior proximal
        right superior upper
    """,
    "degree": r"""
        acute advanced benign chronic congenital diffuse extensive focal generali[sz]ed idiopathic intermittent
        large malignant marked massive metastatic mild moderate multiple persistent primary progressive
        recurrent refractory secondary severe significant slight small sudden systemic worsening
    """,
    "region": r"""
        abdominal aortic arm arterial atrial back bladder bone bowel brain breast cardiac cerebral cervical
        chest colon coronary cranial ear epigastric esophageal eye facial flank gastric gastrointestinal head
        heart hepatic intracranial joint kidney leg limb liver lumbar lung lymph_node mediastinal mitral muscle
        myocardial nasal neck ocular oesophageal optic orbital ovarian pancreatic pelvic pericardial peripheral
        pleural prostate pulmonary rectal renal respiratory retroperitoneal scrotal skeletal skin spinal splenic
        testicular thoracic thyroid tracheal urinary uterine vaginal valvular vascular venous ventricular
    """,
    "organ": r"""
        abdomen aorta appendix arms? arter(?:y|ies) atrium axilla bladder bowel brain breasts? bronchus caecum
        cavity cerebellum chest colon cornea ducts? duodenum ears? epidermis epithelium esophagus
        extremit(?:y|ies) eye(?:s|lids?)? face feet femur fingers? foot gallbladder glands? hands? heart hips?
        ileum jejunum junction kidneys? knees? legs? limbs? liver lobes? lungs? lymph_nodes? mandible
        mediastinum mucosa muscles? neck nerves? nodes? oesophagus orbit ovar(?:y|ies) pancreas pelvis
        pericardium peritoneum pharynx prostate rectum retina scalp shoulders? skin skull spine spleen stomach
        testis thigh thorax thyroid tongue trachea tract trunk ureter urethra uterus vagina vein veins
        ventricles? wall wrist
    """,
    "plain": r"""
        a all also although an and any as at by during each for from further had has her high his in initial its
        last like low mean new no normal not of on or other our performed received remained repeat revealed
        routine second showed subsequent than that the their these this those times to underwent was were when
        which with without
    """,
    "word": r"(?!{plain}\b)[a-z]{3,}",
    "drug-ending": r"""
        afil amide azepam azine azolam barbital bine caine cillin conazole curium curonium cycline dipine
        dronate fenac fentanil floxacin formin gliptin limus lukast mab micin mustine mycin nib nidazole olol
        onide oxacin oxetine parin penem phosphamide platin prazole pril profen rubicin sartan semide setron
        solone sone statin taxel terol thiazide tidine trexate triptan triptyline vir xaban zepine
    """,
    "drug-name": r"""
        acetaminophen adrenaline aspirin cef[a-z]+ cisplatin cocaine digoxin dopamine epinephrine ethanol
        heparin insulin lithium morphine nicotine noradrenaline paracetamol prednisone tamoxifen vincristine
        warfarin
    """,
    "drug": r"[a-z]{2,}{drug-ending} {drug-name}",
    "drug-class": r"""
        analgesics?
        (?:antibiotic|antiviral|antifungal|steroid|antiplatelet|immunosuppressive)_(?:therapy|treatment|drugs?|agents?)
        antibiotics? anticoagulants? anticoagulation antiepileptics? antihistamines? beta_?-_?blockers?
        chemotherapy (?:cortico)?steroids? diuretics? immunosuppressants? nsaids? opioids? oral_contraceptives?
        (?:proton_pump|ace)_inhibitors? sedation vasopressors?
    """,
    "diagnosis-ending": r"""
        adenopathy [ae]mia algia asis astases asthma ataxia cardia cytosis ectasis edema emesis infarctions?
        infarcts? ism itis kinesia kinesias lepsy lithiasis lysis megaly mnesia oedema omas? omata oses osis
        paresis pathies pathy penia phagia phasia plasia plegia pnea pnoea poiesis ptysis rrhage rrhagia rrhea
        rrhoea rrhythmias? sepsis somnia tension thesia thorax tonia toxicity trophy uria urysms?
    """,
    "other-ending": r"""
        synthesis diagnosis diagnoses emphasis hypothesis stomosis ana?esthesia mechanism metabolism organism
        apoptosis mitosis prognosis dialysis analysis
    """,
    "diagnosis": r"(?![a-z]*{other-ending}\b)[a-z]{2,}{diagnosis-ending}",
    "complaint": r"""
        abscess anxiety arrest atrophy bleeding calcifications? cancers? carcinomas? coma constipation
        convulsions? cough cysts? damage delirium dementia depression diarrhea dilatation discomfort disease
        disorders? distension dizziness dysfunction dyspn(?:o)?ea edema effusions? embolism erythema failure
        fatigue fever fractures? headaches? hemorrhage hypertrophy hypotension impairment infections? injury
        insufficiency jaundice lesions? malaise mass(?:es)? metastas[ei]s nausea necrosis nodules? numbness
        obstruction oedema pain palpitations? pruritus psychosis rash regurgitation schizophrenia seizures?
        shock stenosis stroke swelling syncope tenderness thrombosis thrombus toxicity tumou?rs? ulcers?
        vomiting weakness weight_loss
    """,
    "procedure-ending": r"""
        centesis desis dialysis ectomies ectomy embolization extubation intubation ostomy otomy perfusion pexy
        pheresis plasty rrhaphy tripsy
    """,
    "procedure-name": r"""
        ablation amputation anastomosis bypass caesarean_section catheteri[sz]ation cesarean_section debridement
        decompression dialysis dissection drainage embolization excision h(?:a)?emodialysis implantation
        intervention intubation mechanical_ventilation physiotherapy radiation_therapy radiotherapy
        reconstruction removal repair replacement resection resuscitation stenting surgery transfusions?
        transplantation ventilation
    """,
    "procedure": r"[a-z]{2,}{procedure-ending}",
    "image": r"""
        angiogram angiography computed_tomography ct doppler echocardiogra(?:m|phy) magnetic_resonance_imaging
        mammography mra mri pet pet_?[-/]_?ct (?:positron_emission_)?tomography radiographs? radiography
        scintigraphy sonography spect ultrasonography ultrasound x_?-_?rays? xrays?
    """,
    "scan": r"{image}(?:_scans?|_imaging)?",
    "contrast": r"contrast_?-_?enhanced dynamic enhanced high_?-_?resolution plain transesophageal transthoracic",
    "substance": r"""
        afp (?:alanine|aspartate)_(?:amino)?transaminase (?:alanine|aspartate)_aminotransferase albumin
        alkaline_phosphatase alt amylase ast bilirubin blood_urea_nitrogen bun c_?-_?reactive_protein calcium
        cea cholesterol cortisol creatinine crp d_?-_?dimer ferritin glucose h(?:a)?emoglobin hematocrit insulin
        lactate lactate_dehydrogenase ldh leu[ck]ocytes? lipase lymphocytes? magnesium neutrophils? phosphate
        phosphorus platelets? potassium protein sodium troponin(?:_[it])? tsh urea uric_acid wbc
        white_blood_cells?
    """,
}
"""What the patterns name in braces: alternatives apart by white space, each a regular expression; ``_`` is a space."""

PATTERNS = (
    # Medications: names by their stems (WHO 2018), classes, and any word with a dose.
    ("MED", r"{drug}(?: {number} ?{unit}(?: {often})?)?"),
    ("MED", r"{drug}"),
    ("MED", r"{word} {number} ?{unit}(?: {often})?"),
    ("MED", r"{word}(?= \( ?{number} ?{unit}(?!\S))"),
    ("MED", r"(?:oral |intravenous |iv |systemic |topical |inhaled |high ?- ?dose )?{drug-class}"),
    # Diagnoses: endings, heads with what goes before them, and a few fixed forms.
    ("DIAG", r"(?:{degree} |{side} |{region} )*{diagnosis}"),
    ("DIAG", r"{diagnosis}"),
    ("DIAG", r"(?:{degree} |{side} |{region} )*{complaint}"),
    ("DIAG", r"(?:{degree} |{side} |{region} )+{complaint}"),
    ("DIAG", r"(?:{degree} |{side} )*{word} (?:syndrome|disease|disorder|deficiency|carcinoma|cancer|failure)"),
    ("DIAG", r"{word} (?:'|’) ?s (?:syndrome|disease|disorder)"),
    ("DIAG", r"(?:{degree} )*(?:loss of (?:appetite|consciousness|vision|weight)|shortness of breath)"),
    # Procedures.
    ("PROC", r"(?:laparoscopic |open |partial |total |subtotal |radical |{side} |{region} )*{procedure}"),
    ("PROC", r"(?:laparoscopic |open |surgical |emergency |{side} |{region} )*{procedure-name}"),
    ("PROC", r"(?:laparoscopic |open |surgical |emergency |{side} |{region} )+{procedure-name}"),
    # Tests: imaging with its site, substances with their sample, and what is measured or examined.
    ("TEST", r"(?:{contrast} |{region} |{organ} ){0,4}{scan}(?: of (?:the )?(?:{side} )*(?:{region}|{organ}))"),
    ("TEST", r"(?:{contrast} |{region} |{organ} ){0,4}{scan}"),
    ("TEST", r"(?:serum |plasma |urine |urinary |blood )?{substance}(?: levels?| concentrations?| counts?)?"),
    ("TEST", r"(?:{word} )?(?:biopsy|biopsies|examination|cultures?|cytology|endoscopy|staining|serology|titers?)"),
    ("TEST", r"(?:{word} )?[a-z]{4,}(?:scopy|graphy|gram|metry)"),
    ("TEST", r"[a-z]{4,}(?:scopy|graphy|gram|metry)"),
    ("TEST", r"(?:(?:arterial |systolic |diastolic )?blood|heart|pulse|respiratory|body|oxygen|ejection)"
     r" (?:pressure|rate|temperature|saturation|fraction)"),
    ("TEST", r"{word} (?:levels?|counts?|function tests?|tests?|gas analysis|analysis)"),
    # Anatomy.
    ("ANAT", r"(?:{side} |{region} )+{organ}"),
    ("ANAT", r"{organ}"),
)  # fmt: skip
"""``(tag, pattern)``: the tag of what the pattern finds."""

CUES = {
    "before": (
        "no", "not", "without", "denies", "denied", "denying", "deny", "never", "none", "negative for", "neg for",
        "absence of", "absent", "free of", "no evidence of", "no evidence for", "no sign of", "no signs of",
        "no history of", "ruled out for", "ruled out", "rules out", "rather than", "lack of", "lacks", "cannot",
        "resolved", "declined", "unremarkable for", "nor", "neither", "fails to reveal", "failed to show",
    ),
    "after": (
        "was ruled out", "is ruled out", "has been ruled out", "have been ruled out", "were ruled out",
        "are ruled out", "unlikely", "was negative", "is negative", "were negative", "are negative", "not seen",
        "not identified", "not present", "not demonstrated", "is absent", "was absent",
    ),
    "nothing": (
        "no change", "no increase", "no significant change", "no interval change", "no further", "no longer",
        "not only", "not necessarily", "not certain if", "not certain whether", "gram negative",
        "without difficulty", "not cause", "not drain", "not rule out", "not ruled out", "not been ruled out",
    ),
    "end": (
        "but", "however", "although", "except", "apart from", "aside from", "secondary to", "which", "still",
        "though", "cause of", "causes of", "because", "as the cause", "source of", "reason for", ";", ".",
    ),
}  # fmt: skip
"""What phrases do to a concept: they negate it from before or from after it, hold a negation that negates nothing, or
stop every negation from reaching across (the lists of NegEx, cut to what is frequent)."""

_ROLES = {tuple(phrase.split()): role for role, phrases in CUES.items() for phrase in phrases}
_LONGEST_CUE = max(map(len, _ROLES))


Rule = str | tuple[str, str]
"""A form in the dictionary, or a row of ``PATTERNS``."""


@dataclass(frozen=True, slots=True)
class Match:
    """Words ``[start, end)`` that a rule takes for a ``tag``."""

    start: int
    end: int
    tag: str
    rule: Rule


_NAME = re.compile(r"\{([a-z-]+)\}")


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{_expanded(pattern)})(?!\S)")


def _expanded(pattern: str) -> str:
    """The pattern with its classes written out."""
    return _NAME.sub(lambda name: f"(?:{_expanded('|'.join(CLASSES[name[1]].split()).replace('_', ' '))})", pattern)


_COMPILED = {pattern: _compiled(pattern) for _, pattern in PATTERNS}


@dataclass(frozen=True, slots=True)
class RuleTagger:
    """The rules that held in the training data, as a tagger."""

    entities: Mapping[str, str]
    patterns: tuple[tuple[str, str], ...]

    @classmethod
    def train(cls, sentences: Iterable[TaggedSentence]) -> "RuleTagger":
        """The dictionary of ``sentences``, and the patterns of the types that they annotate; of both, what holds."""
        training = list(sentences)
        entities = build_entity_dictionary(training)
        patterns = tuple(row for row in PATTERNS if row[0] in set(entities.values()))
        # The dictionary and each pattern are judged alone: the dictionary has every entity of the training data, and a
        # pattern hides those that find a part of what it finds.
        alone = [cls(entities, ()), *(cls({}, (row,)) for row in patterns)]
        holding = {rule for tagger in alone for rule in tagger.holding(training)}
        return cls(
            {form: tag for form, tag in entities.items() if form in holding},
            tuple(row for row in patterns if row in holding),
        )

    def holding(self, sentences: Iterable[TaggedSentence]) -> set[Rule]:
        """The rules of which at least ``MIN_PRECISION`` of what they find in ``sentences`` is annotated so."""
        found: Counter[Rule] = Counter()
        right: Counter[Rule] = Counter()
        for sentence in sentences:
            gold = {(span.first, span.last + 1, span.tag) for span in spans_of(sentence.tags)}
            for match in self.matches(sentence.words):
                found[match.rule] += 1
                right[match.rule] += (match.start, match.end, match.tag) in gold
        return {rule for rule, count in found.items() if right[rule] >= MIN_PRECISION * count}

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """BIO tags, a list a sentence."""
        return [self._tags(words) for words in sentences]

    def matches(self, words: Sequence[str]) -> list[Match]:
        """What the rules find in a sentence, without overlaps: the longest first, then the earliest; where the
        dictionary and a pattern find the same words, the dictionary decides."""
        lowered = [word.lower() for word in words]
        candidates = [*self._in_dictionary(lowered), *self._by_pattern(lowered)]
        taken: set[int] = set()
        chosen = []
        for match in sorted(candidates, key=lambda m: (m.start - m.end, m.start)):
            if taken.isdisjoint(range(match.start, match.end)):
                taken.update(range(match.start, match.end))
                chosen.append(match)
        return chosen

    def _tags(self, words: Sequence[str]) -> list[str]:
        tags = [OUTSIDE] * len(words)
        for match in self.matches(words):
            tags[match.start : match.end] = [f"B-{match.tag}", *[f"I-{match.tag}"] * (match.end - match.start - 1)]
        return tags

    def _in_dictionary(self, words: Sequence[str]) -> Iterator[Match]:
        longest = longest_form(self.entities)
        for start in range(len(words)):
            for end in range(min(start + longest, len(words)), start, -1):
                form = " ".join(words[start:end])
                if form in self.entities:
                    yield Match(start, end, self.entities[form], form)

    def _by_pattern(self, words: Sequence[str]) -> Iterator[Match]:
        text = " ".join(words)
        starts = {offset: i for i, offset in enumerate(accumulate((len(word) + 1 for word in words), initial=0))}
        for tag, pattern in self.patterns:
            for found in _COMPILED[pattern].finditer(text):
                yield Match(starts[found.start()], starts[found.end() + 1], tag, (tag, pattern))


def window_negated(words: Sequence[str], start: int, end: int, *, window: int = WINDOW) -> bool:
    """Whether words ``[start, end)`` are negated: a phrase that negates stands fewer than ``window`` words away, on its
    side, with no phrase between that stops it.

    Raises:
        ValueError: where ``[start, end)`` is no stretch of ``words``.
    """
    if not 0 <= start < end <= len(words):
        raise ValueError(f"words [{start}, {end}) of {len(words)}")
    lowered = [word.lower() for word in words]
    before, after = lowered[:start], lowered[end:]
    left = [(_words_in(before[last:]), role) for _, last, role in _cues(before)]
    right = [(_words_in(after[:first]), role) for first, _, role in _cues(after)]
    return _reaches(reversed(left), "before", window) or _reaches(right, "after", window)


def _words_in(tokens: Sequence[str]) -> int:
    """Marks do not count."""
    return sum(any(map(str.isalnum, token)) for token in tokens)


def _reaches(cues: Iterable[tuple[int, str]], side: str, window: int) -> bool:
    """``cues``: words between the concept and the cue, and its role; from the concept outwards."""
    for distance, role in cues:
        if role == "end" or distance >= window:
            return False
        if role == side:
            return True
    return False


def _cues(words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """``(first, end, role)`` of the phrases in ``words``, from left to right; at each place the longest counts."""
    at = 0
    while at < len(words):
        sizes = range(min(_LONGEST_CUE, len(words) - at), 0, -1)
        size = next((size for size in sizes if tuple(words[at : at + size]) in _ROLES), 0)
        if size:
            yield at, at + size, _ROLES[tuple(words[at : at + size])]
        at += max(size, 1)
