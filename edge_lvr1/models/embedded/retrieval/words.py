"""The words that the embedded agent knows, and how near two colours are. Data and lookups.

The captioner tells person-like figures, vehicle-like shapes and other moving shapes apart,
names colours, directions and sides, and nothing else; a word that is not here is one that
no caption of its kind can bear out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_lvr1.models.embedded.wording import Kind


def vocabulary(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


PERSON_WORDS = vocabulary(
    "person people persons someone somebody anyone anybody everyone everybody nobody noone who "
    "whom whose visitor visitors pedestrian pedestrians figure figures human humans individual "
    "individuals guest guests customer customers stranger strangers intruder intruders passerby "
    "passersby walker walkers he she him her his they them their"
)
PERSON_SPECIFIC = vocabulary(
    "man men woman women boy boys girl girls child children kid kids lady ladies gentleman "
    "gentlemen guy guys baby babies toddler toddlers adult adults male males female females "
    "worker workers courier couriers postman policeman teenager teenagers"
)
VEHICLE_WORDS = vocabulary("vehicle vehicles automobile automobiles traffic")
VEHICLE_SPECIFIC = vocabulary(
    "car cars truck trucks lorry lorries van vans bus buses taxi taxis jeep jeeps suv suvs "
    "pickup pickups minivan minivans coach trailer trailers"
)
SHAPE_WORDS = vocabulary("shape shapes")
ANY_WORDS = vocabulary(
    "something anything thing things object objects motion movement movements subject subjects "
    "everything nothing it one ones activity"
)
PRONOUNS = vocabulary("he she him her his they them their it one ones who whom whose")

ORDINALS = {
    "first": 1, "1st": 1, "earliest": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3,
    "fourth": 4, "4th": 4, "fifth": 5, "5th": 5, "sixth": 6, "6th": 6, "seventh": 7, "7th": 7,
    "eighth": 8, "8th": 8, "ninth": 9, "9th": 9, "tenth": 10, "10th": 10,
    "last": -1, "final": -1, "latest": -1, "penultimate": -2,
}  # fmt: skip
NUMBERS = {
    "zero": 0, "none": 0, "no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5,
    "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20,
}  # fmt: skip

DIRECTIONS = {
    "left": "left", "leftward": "left", "leftwards": "left", "right": "right",
    "rightward": "right", "rightwards": "right", "up": "up", "upward": "up", "upwards": "up",
    "down": "down", "downward": "down", "downwards": "down", "downhill": "down", "uphill": "up",
}  # fmt: skip
SIDE_WORDS = {
    "left": "left", "right": "right", "top": "top", "bottom": "bottom", "above": "top",
    "below": "bottom", "up": "top", "down": "bottom",
}  # fmt: skip

START_VERBS = vocabulary(
    "come comes came coming enter enters entered entering appear appears appeared appearing "
    "arrive arrives arrived arriving start starts started begin begins began show shows turn "
    "turns turned reach reaches reached approach approaches approached get gets got join joins"
)
END_VERBS = vocabulary(
    "leave leaves left leaving exit exits exited exiting disappear disappears disappeared "
    "vanish vanishes vanished depart departs departed departing finish finishes finished end "
    "ends ended gone"
)
MOVE_VERBS = vocabulary(
    "go goes went going move moves moved moving drive drives drove driving walk walks walked "
    "walking head heads headed heading travel travels travelled pass passes passed passing cross "
    "crosses crossed crossing run runs running turn turns turning facing cycle ride rides roll "
    "rolls rolling"
)
BE_VERBS = vocabulary(
    "is are was were be been being am do does did done has have had can could will would should "
    "may might must see sees saw seen look looks looked spot spotted notice noticed detect "
    "detected find finds found show shown visible present appear there remain remains remained "
    "stay stays stayed staying stand stands stood standing stop stops stopped stopping wait "
    "waits waited waiting linger lingers lingered last lasts lasted spend spends spent tell say "
    "count happen happens happened happening occur occurs occurred observe observed view viewed "
    "exist exists existing watch give list name describe identify hang hanging still sit parked "
    "take takes took taken make makes made visit visits visited wear wears wore wearing dressed "
    "idle motionless "
)
PLACE_PREPOSITIONS = vocabulary(
    "at on in into onto near by to towards toward through from across behind beside past over "
    "under around along off outside inside within before after between against of for past"
)
CLOTHES = vocabulary(
    "clothes clothing cloth shirt shirts jacket jackets coat coats top dress outfit trousers pants "
    "jeans jumper sweater cardigan suit garment garments t-shirt tshirt"
)
STOP = vocabulary(
    "a an the this that these those there here and or but if then than as so not no yes any some "
    "all each every both either neither many much more most few fewer less least only just very "
    "too also ever never exactly once twice time times at in on of for to from with by into out "
    "up during throughout while when what which who how why where whether long often soon far "
    "i you we me us my your our its it's what's who's where's there's please can't doesn't isn't "
    "aren't didn't wasn't video footage clip recording camera cameras scene picture frame film "
    "image screen view sight way direction side colour color colours colors coloured colored shade "
    "hue day days date "
    "number amount total altogether overall different distinct unique separate individual kind "
    "type whole entire point moment second seconds sec secs minute minutes hour hours s min am pm "
    "same simultaneously together s' per about around roughly approximately maximum minimum "
    "against period duration another other others else again back away now today yesterday "
    "several multiple couple pair whatever anywhere somewhere away off over through towards "
    "lettered option options following correct true false place around along past case fact "
    "like looking kinds sort"
)
HEDGES = vocabulary("with carrying holding carry carries hold holds riding")

_TONES = {"light": "light", "pale": "light", "bright": "light", "dark": "dark", "deep": "dark"}
_COLOURS = {
    "red": ("red", ""), "crimson": ("red", ""), "scarlet": ("red", ""), "maroon": ("red", "dark"),
    "blue": ("blue", ""), "navy": ("blue", "dark"), "azure": ("blue", "light"),
    "cyan": ("cyan", ""), "turquoise": ("cyan", ""), "teal": ("cyan", "dark"),
    "green": ("green", ""), "olive": ("green", "dark"), "lime": ("green", "light"),
    "yellow": ("yellow", ""), "gold": ("yellow", ""), "golden": ("yellow", ""),
    "orange": ("orange", ""), "brown": ("brown", ""), "tan": ("brown", "light"),
    "beige": ("brown", "light"), "white": ("white", ""), "cream": ("white", ""),
    "black": ("black", ""), "grey": ("grey", ""), "gray": ("grey", ""), "silver": ("grey", "light"),
    "purple": ("purple", ""), "violet": ("purple", ""), "pink": ("pink", ""),
    "magenta": ("pink", ""),
}  # fmt: skip
_NEIGHBOURS = frozenset(
    frozenset(pair)
    for pair in (
        ("blue", "cyan"), ("green", "cyan"), ("red", "orange"), ("red", "pink"),
        ("purple", "pink"), ("purple", "blue"), ("orange", "yellow"), ("orange", "brown"),
        ("grey", "white"), ("grey", "black"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour as a basic name and a tone, either of which may be left out."""

    base: str
    tone: str = ""

    def __str__(self) -> str:
        return f"{self.tone} {self.base}".strip()


def colour_at(words: list[str], index: int) -> tuple[Colour, int] | None:
    """The colour that begins at a word, and how many words it takes; None if none does.

    "light" and "bright" alone are no colours (the light may be a lamp); "dark" alone is.
    """
    word = words[index]
    if word in _TONES and index + 1 < len(words) and words[index + 1] in _COLOURS:
        base, tone = _COLOURS[words[index + 1]]
        return Colour(base, _TONES[word] or tone), 2
    if word in _COLOURS:
        return Colour(*_COLOURS[word]), 1
    if word == "dark" and index + 1 < len(words):
        return Colour("", "dark"), 1
    return None


def colours_in(text: str) -> list[Colour]:
    """The colours that a text names, in order."""
    words, found, index = re.findall(r"[a-z]+", text.lower()), [], 0
    while index < len(words):
        at = colour_at(words, index)
        if at:
            found.append(at[0])
        index += at[1] if at else 1
    return found


def nearness(asked: Colour, told: Colour) -> int:
    """2 where a colour told answers a colour asked for, 1 where it is near, else 0."""
    if not asked.base:
        return 2 if told.tone == asked.tone or told.base == "black" else 0
    if asked.base == told.base:
        return 2 if asked.tone in ("", told.tone) else 1
    if {asked.base, asked.tone, told.base} >= {"blue", "dark", "black"}:
        return 1
    if told.tone == "dark" and asked.base == "black":
        return 1
    return 1 if frozenset((asked.base, told.base)) in _NEIGHBOURS else 0


def kind_of(word: str) -> tuple[Kind | None, bool] | None:
    """The kind that a noun names and whether it says more than captions tell.

    None in place of a kind stands for any of them; None in place of all, for no such noun.
    """
    word = word.removesuffix("'s").removesuffix("'")
    if word in PERSON_WORDS | PERSON_SPECIFIC:
        return Kind.PERSON, word in PERSON_SPECIFIC
    if word in VEHICLE_WORDS | VEHICLE_SPECIFIC:
        return Kind.VEHICLE, word in VEHICLE_SPECIFIC
    if word in SHAPE_WORDS:
        return Kind.OTHER, False
    return (None, False) if word in ANY_WORDS else None


def number_in(word: str) -> int | None:
    """The number that a word is: "6", "six", "none"."""
    if word.isascii() and word.isdigit() and len(word) < 10:
        return int(word)
    return NUMBERS.get(word)
