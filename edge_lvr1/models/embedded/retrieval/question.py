"""What a question asks, as the embedded agent understands it: text in, `Asked` out. Pure.

It knows the captioner's subjects and what captions say of them. Everything it does not
know it keeps: `unknown` holds the words that no caption of that kind can bear out, so that
the answer can say so, and `specifics` those that ask for more than captions tell.
"""

from __future__ import annotations

import re
from dataclasses import replace

from edge_lvr1.domain import Span
from edge_lvr1.models.embedded.retrieval import words
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent, Moment, Relation
from edge_lvr1.models.embedded.retrieval.times import read_window
from edge_lvr1.models.embedded.retrieval.words import Colour
from edge_lvr1.models.embedded.wording import Kind

_EVENT_PATTERNS = (
    (("camera",), r"\bcamera\b.*\b(?:mov|shak|shift|pan|turn|tilt|bump|knock|touch)\w*"),
    (("cut",), r"\b(?:scene|picture|shot|view)\b.*\b(?:change|cut|switch)\w*|\bscene cuts?\b"),
    (
        ("dims",),
        r"\blights?\b.*\b(?:dim|off|out|fade|darken|lower|fail)\w*|\bdims?\b|\bdimm(?:ed|ing)\b"
        r"|\b(?:gets?|got|grows?|becomes?|became|turns?|goe?s?|went) dark(?:er)?\b"
        r"|\bdarker\b|\bdarken\w*",
    ),
    (
        ("brightens",),
        r"\blights?\b.*\b(?:brighten|on|brighter|come back|back)\w*|\bbrighten\w*|\bbrighter\b",
    ),
    (("dims", "brightens"), r"\blight(?:s|ing)?\b.*\b(?:chang|switch|flicker|vary)\w*"),
    (("dims", "brightens"), r"\b(?:change|changes) (?:of|in) (?:the )?light(?:ing)?\b"),
)
_INTENTS = (
    (Intent.LENGTH, r"\bhow long (?:is|was) (?:the|this) (?:video|clip|recording|footage|film)\b"),
    (Intent.LENGTH, r"\b(?:duration|length) of (?:the|this) (?:video|clip|recording|footage)\b"),
    (
        Intent.HOW_LONG,
        r"\bhow long\b|\bhow much time\b|\bhow many (?:seconds|minutes|hours)\b|\bduration\b",
    ),
    (Intent.COUNT, r"\bhow many\b|\bnumber of\b|\bcount\b|\bhow often\b|\bhow much\b"),
    (
        Intent.WHEN,
        r"\bwhen\b(?! (?:the|a|an|he|she|they|it)\b.*\?*$)|^\W*when\b|\b(?:what|which) (?:time|"
        r"moment|second|minute|hour|day|date|point)\b|\bhow (?:soon|early|late)\b|\btimestamps?\b",
    ),
    (
        Intent.COLOUR,
        r"\b(?:what|which|tell|name|is|give)\b.*\b(?:colou?r|colou?rs|shade|hue)\b"
        r"|^\W*colou?r of\b|\bwhat (?:is|was|are|were|does|did) .*\b(?:wear|wearing|dressed)\b"
        r"|\bhow (?:is|was|are|were) .*\bdressed\b",
    ),
    (
        Intent.ENTERS,
        r"\b(?:where|which (?:side|edge|direction|way))\b.*\b(?:from|enter|enters|entered)\b"
        r"|\bfrom (?:where|which|what)\b",
    ),
    (
        Intent.LEAVES,
        r"\b(?:where|(?:on |at |to |by |through )?(?:which|what) (?:side|edge|way|direction))\b.*"
        r"\b(?:leave|leaves|left|leaving|exit|exits|exited|disappear|disappears|disappeared|"
        r"go out|goes out|went out)\b",
    ),
    (
        Intent.DIRECTION,
        r"\b(?:which|what) (?:way|direction)\b|\bin (?:which|what) direction\b|\bdirection\b"
        r"|\bwhere(?:\s+\w+){0,6}\s+(?:go|goes|going|went|head|heads|heading|drive|drives|driving|"
        r"move|moves|moving|walk|walks|walking)\b",
    ),
)
_YES_NO = re.compile(
    r"^\W*(?:(?:and|so|then|please|tell me|can you (?:tell|see)|could you tell)\W+)*"
    r"(?:if |whether )?"
    r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|any|there|isn't|aren't|wasn't|"
    r"weren't|doesn't|didn't|don't|find|show|locate|look for|search)\b"
)
_OPEN_QUESTION = re.compile(r"\b(?:what|which|who|where|why|how|describe|summari[sz]e|tell)\b")
_COMPARISONS = (
    (">", r"\b(?:more than|over|greater than|above)\s+(\w+)"),
    (">=", r"\bat least\s+(\w+)|\b(\w+) or more\b"),
    ("<=", r"\bat most\s+(\w+)|\bno more than\s+(\w+)|\b(\w+) or (?:fewer|less)\b"),
    ("<", r"\b(?:fewer than|less than|under)\s+(\w+)"),
    ("=", r"\b(?:exactly|only|just)\s+(\w+)"),
)
_AT_ONCE = re.compile(
    r"\bat once\b|\bat the same time\b|\bsimultaneously\b|\btogether\b|\bat (?:a|any one) time\b"
)
_SIDE = r"(?P<side>left|right|top|bottom|above|below)"
_FROM_SIDE = re.compile(rf"\bfrom (?:the )?{_SIDE}\b")
_OUT_SIDE = re.compile(
    r"\b(?:leav\w+|left|exit\w*|disappear\w*|depart\w*|out|off)\b[^,.?]*?"
    rf"\b(?:at|to|on|by|through|towards?|via) (?:the )?{_SIDE}\b"
)
_AT_SIDE = re.compile(
    r"\b(?:on|at|in) the (?:far |very )?(?P<side>left|right|top|bottom)\b"
    r"(?:[ -]hand)?(?: (?:side|half|part|edge|end))?"
    r"(?: of the (?:picture|image|frame|scene|screen|view|video|shot|footage))?(?! of\b)"
)
_COMES_IN = re.compile(r"\b(?:enter\w*|com(?:e|es|ing)|came|appear\w*|arriv\w*)\s*$")
_STILL = re.compile(
    r"\b(?:stand\w*|stood|stay\w* still|still|stop\w*|wait\w*|park\w*|motionless|idle|"
    r"pause\w*|halt\w*)\b"
)
_LAST_SEEN = re.compile(r"\blast (?:seen|visible|there|in view|noticed)\b")
_FIRST_SEEN = re.compile(
    r"\bfirst (?:seen|visible|there|in view|noticed|appear\w*|c[ao]me|enter\w*)"
)
_GOES_AWAY = re.compile(r"\bgo(?:es)? away\b|\bwalk\w* off\b")
_NOT_STARTS = words.vocabulary("show shows turn turns turned")
_HEADING_BEFORE = words.MOVE_VERBS | words.vocabulary("to the towards toward from straight is was ")
_RELATION = re.compile(
    r"[\s,]\b(?P<word>before|after|while|once|until|when)\s+(?P<clause>(?:the|a|an|any|some)\s+.+)$"
)


def understand(question: str, duration_s: float) -> Asked:
    """What a question asks of a recording that long."""
    text = " ".join(question.lower().replace("\u2019", "'").replace("-", " ").split())
    main, relation = _split_relation(text, duration_s)
    timed = read_window(main, duration_s)
    asked = _understand(timed.text, timed.window)
    return replace(asked, relation=relation, vague=timed.vague)


def _split_relation(text: str, duration_s: float) -> tuple[str, Relation | None]:
    match = _RELATION.search(text)
    if match is None or not text[: match.start()].strip():
        return text, None
    timed = read_window(match["clause"], duration_s)
    other = _understand(timed.text, timed.window)
    if not (other.kinds or other.colour or other.events) or timed.window:
        return text, None
    word = {"once": "after", "until": "before", "when": "while"}.get(match["word"], match["word"])
    return text[: match.start()], Relation(word, other)


def _understand(text: str, window: Span | None) -> Asked:
    text, side, comes_in = _side_of(text)
    tokens = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text)
    intent = _intent_of(text)
    events = _events_of(text)
    noun = _noun_of(tokens)
    kinds, specifics = _kinds_of(tokens, noun)
    compare = _compare_of(text, tokens, intent)
    if compare and intent in (Intent.EXISTS, Intent.DESCRIBE):
        intent = Intent.COUNT
    colour, is_colour, intent = _colours_of(tokens, noun, intent, text)
    heading, is_heading, intent = _headings_of(text, tokens, noun, intent)
    unknown, places = _unknown_of(tokens, events)
    from_side, out_side = _FROM_SIDE.search(text), _OUT_SIDE.search(text)
    return Asked(
        text=text,
        intent=intent,
        kinds=kinds,
        thing=tokens[noun] if noun is not None else "",
        ordinal=_ordinal_of(tokens, intent),
        moment=_moment_of(text, tokens, intent),
        colour=colour,
        is_colour=is_colour,
        heading=None if from_side or out_side else heading,
        is_heading=None if from_side or out_side else is_heading,
        enters=from_side["side"] if from_side else side if comes_in else None,
        leaves=out_side["side"] if out_side else None,
        side=None if comes_in else side,
        window=window,
        compare=compare,
        at_once=_AT_ONCE.search(text) is not None,
        still=_STILL.search(text) is not None,
        negated=bool({"nobody", "noone", "nothing"} & set(tokens)) or "no one" in text,
        events=events,
        unknown=unknown,
        places=places,
        specifics=specifics,
        clothes=bool(words.CLOTHES & set(tokens)),
    )


def _side_of(text: str) -> tuple[str, str | None, bool]:
    """The text without a side of the picture, that side, and whether a subject comes in there.

    Where something leaves on a side, the text stays as it is.
    """
    match = _AT_SIDE.search(text)
    if match is None or _OUT_SIDE.search(text):
        return text, None, False
    before = text[: match.start()]
    return f"{before} {text[match.end() :]}", match["side"], bool(_COMES_IN.search(before))


def _intent_of(text: str) -> Intent:
    for intent, pattern in _INTENTS:
        if re.search(pattern, text) and not (
            intent in (Intent.COLOUR, Intent.WHEN) and _YES_NO.match(text) and "what" not in text
        ):
            return intent
    if _YES_NO.match(text) or not _OPEN_QUESTION.search(text):
        return Intent.EXISTS
    return Intent.DESCRIBE


def _events_of(text: str) -> tuple[str, ...]:
    without_colours = re.sub(r"\b(?:light|dark|bright|pale) (?!out|off|on)\w+", _keep_events, text)
    for events, pattern in _EVENT_PATTERNS:
        if re.search(pattern, without_colours):
            return events
    return ()


def _keep_events(match: re.Match[str]) -> str:
    return "" if words.colours_in(match[0]) and not match[0].endswith("dark") else match[0]


def _noun_of(tokens: list[str]) -> int | None:
    """Where the subject's noun stands: the first noun of a kind; else a pronoun for any."""
    nouns = [(i, token) for i, token in enumerate(tokens) if words.kind_of(token)]
    plain = [i for i, token in nouns if token not in words.PRONOUNS | words.ANY_WORDS]
    pronouns = [i for i, token in nouns if token in words.PRONOUNS | words.ANY_WORDS]
    # "one" after another noun is a count or a pronoun for it.
    return plain[0] if plain else pronouns[0] if pronouns else None


def _kinds_of(tokens: list[str], noun: int | None) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    if noun is None:
        return (), ()
    found = words.kind_of(tokens[noun])
    if found is None or found[0] is None:
        return (), ()
    kinds = [found[0]]
    if tokens[noun + 1 : noun + 2] in (["or"], ["and"]):  # "people or vehicles"
        rest = (words.kind_of(token) for token in tokens[noun + 2 : noun + 5])
        kinds += [kind for entry in rest if entry and (kind := entry[0])]
    return tuple(dict.fromkeys(kinds)), ((tokens[noun],) if found[1] else ())


def _ordinal_of(tokens: list[str], intent: Intent) -> int | None:
    for index, token in enumerate(tokens):
        ordinal = words.ORDINALS.get(token)
        if ordinal is None:
            continue
        following = tokens[index + 1 : index + 4]
        if token == "last" and tokens[index - 1 : index] in (["it"], ["did"], ["does"]):
            continue  # "how long does it last"
        if intent is Intent.WHEN and following[:1] and following[0] in ("seen", "visible", "there"):
            continue
        return ordinal
    return None


def _moment_of(text: str, tokens: list[str], intent: Intent) -> Moment:
    if _LAST_SEEN.search(text):
        return Moment.END
    if _FIRST_SEEN.search(text):
        return Moment.START
    if intent is Intent.HOW_LONG:
        return Moment.STILL if _STILL.search(text) and "stay" not in text else Moment.ALL
    return _moment_of_verb(text, set(tokens)) if intent is Intent.WHEN else Moment.ALL


def _moment_of_verb(text: str, tokens: set[str]) -> Moment:
    if words.END_VERBS & tokens or _GOES_AWAY.search(text):
        return Moment.END
    if _STILL.search(text):
        return Moment.STILL
    return Moment.START if (words.START_VERBS - _NOT_STARTS) & tokens else Moment.ALL


def _compare_of(text: str, tokens: list[str], intent: Intent) -> tuple[str, int] | None:
    if intent not in (Intent.EXISTS, Intent.DESCRIBE):
        return None
    for operator, pattern in _COMPARISONS:
        match = re.search(pattern, text)
        number = words.number_in(next(g for g in match.groups() if g)) if match else None
        if number is not None:
            return operator, number
    if re.search(r"\b(?:several|multiple|many|a couple of|a pair of)\b", text):
        return ">=", 2
    for index, token in enumerate(tokens[:-1]):
        number = words.number_in(token)
        follows = words.kind_of(tokens[index + 1]) or (
            index + 2 < len(tokens) and words.kind_of(tokens[index + 2])
        )
        if number is not None and number >= 2 and follows:
            return "=", number
    return None


def _colours_of(
    tokens: list[str], noun: int | None, intent: Intent, text: str
) -> tuple[Colour | None, Colour | None, Intent]:
    """Colours that select, a colour to be confirmed, and the intent these make of it."""
    found: list[tuple[int, Colour]] = []
    index = 0
    while index < len(tokens):
        at = words.colour_at(tokens, index)
        if at and not (at[0].base == "" and tokens[index - 1 : index][0:1] in _GETS):
            found.append((index, at[0]))
        index += at[1] if at else 1
    before = [colour for i, colour in found if noun is None or i < noun]
    after = [colour for i, colour in found if noun is not None and i > noun]
    definite = noun is not None and "the" in tokens[max(0, noun - 4) : noun]
    if len(found) > 1 and " or " in text and intent is Intent.EXISTS:
        return None, None, Intent.COLOUR
    if intent is Intent.EXISTS and after and definite and not before:
        return None, after[0], intent
    chosen = before or after
    return (chosen[0] if chosen else None), None, intent


_GETS = (["gets"], ["get"], ["got"], ["becomes"], ["became"], ["turns"], ["goes"], ["went"])


def _headings_of(
    text: str, tokens: list[str], noun: int | None, intent: Intent
) -> tuple[str | None, str | None, Intent]:
    """A direction that selects, one to be confirmed, and the intent these make of it."""
    found = []
    for index, token in enumerate(tokens):
        heading = words.DIRECTIONS.get(token)
        if heading is None or (token in ("up", "down") and "show" in "".join(tokens[:index][-1:])):
            continue
        if index and (tokens[index - 1] in _HEADING_BEFORE or tokens[index - 1] == "or"):
            if token == "right" and tokens[index + 1 : index + 2] == ["now"]:
                continue
            found.append(heading)
    moving = bool(words.MOVE_VERBS & set(tokens)) or "direction" in tokens or "way" in tokens
    found = found if moving else []
    if len(set(found)) > 1 and "or" in tokens:
        return None, None, Intent.DIRECTION
    if not found or intent is Intent.DIRECTION:
        return None, None, intent
    definite = noun is not None and "the" in tokens[max(0, noun - 4) : noun]
    if intent is Intent.EXISTS and definite:
        return None, found[0], intent
    return found[0], None, intent


_PLACE_NOUNS_STOP = words.vocabulary("the a an its his her their my your this that some ")
_KNOWN = (
    words.STOP
    | words.BE_VERBS
    | words.START_VERBS
    | words.END_VERBS
    | words.MOVE_VERBS
    | words.CLOTHES
    | frozenset(words.DIRECTIONS)
    | frozenset(words.SIDE_WORDS)
    | frozenset(words.ORDINALS)
    | frozenset(words.NUMBERS)
)
_EVENT_WORDS = words.vocabulary(
    "light lights lighting dim dims dimmed dimming dark darker darkness darken darkens darkened "
    "brighten brightens brightened brighter bright change changes changed changing cut cuts "
    "switch switched switches shake shakes shook shift shifts moved lamp fade fades flicker "
    "flickers level off on out "
)


def _unknown_of(
    tokens: list[str], events: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words that no caption can bear out, and those of them that only name a place."""
    unknown: list[str] = []
    places: list[str] = []
    in_place = False
    index = 0
    while index < len(tokens):
        token = tokens[index]
        colour = words.colour_at(tokens, index)
        if colour:
            index += colour[1]
            continue
        index += 1
        if token in words.PLACE_PREPOSITIONS:
            in_place = True
            continue
        known = token in _KNOWN or token.isdigit() or words.kind_of(token) is not None
        if known or (events and token in _EVENT_WORDS):
            in_place = in_place and token in _PLACE_NOUNS_STOP | {"side", "end"}
            continue
        stripped = token.removesuffix("'s")
        if stripped != token and words.kind_of(stripped):
            continue
        (places if in_place else unknown).append(token)
    return tuple(dict.fromkeys(unknown)), tuple(dict.fromkeys(places))
