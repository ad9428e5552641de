"""Words, names, keys and values from which the generated text is made.

Every key kind is either combinatorial (word lists) or random (syllables, digits), so a key met at test time was almost
never met in training; `is_held_out_key` makes that certain: one key in eight, chosen by a hash of its text, is rejected
by the training generators and used by the evaluation only. Some words of the lists are held out as well.
"""

import random
import zlib

ADJECTIVES = """red blue green silver golden hidden ancient broken crystal frozen gentle hollow iron jade lunar marble
noble obsidian pale quiet rapid scarlet timber violet wild amber bronze copper dusty emerald faded grand humble icy
jagged keen lonely misty narrow old plain rusty sacred tall upper velvet white yellow young brave calm distant early
foggy great heavy inner jolly lower modern northern outer polished royal secret tiny urban vivid western wooden eastern
southern bitter clever damp eager fierce glossy hasty idle lazy mellow nimble odd proud rough sharp tame uneven vast
weary zealous bright cheap dark empty fancy giant honest little loud massive new plump round slow sour steep sweet thin
warm wet wide winding striped spotted painted folded forgotten borrowed buried central corner crowded double electric
foreign fresh gloomy harsh imperial infinite knotted leather magnetic mobile native orange purple private public
radiant remote rural shallow silent simple single smooth solar sturdy sunken temporary tidal triple twisted unusual""".split()

NOUNS = """falcon harbor garden castle river lantern mirror temple bridge forest engine ladder market needle orchard
palace quarry saddle tunnel valley window anchor basket cannon desert feather glacier hammer island jungle kettle library
meadow notebook oven pillar quiver ribbon statue tower umbrella violin wagon archive barrel cabin drawer elevator fountain
gate hallway inn jacket kitchen locker mill nursery office pantry quilt railway station theatre unit vault warehouse yard
zoo account bakery camera depot envelope factory gallery hotel invoice journal kiosk ledger machine network observatory
printer quarter reactor server terminal vessel website album beacon compass dolphin eagle ferry goblet helmet ivory jar
kite lemon monument nest oyster parcel quartz rocket sparrow trumpet urn vase whistle yacht apartment boiler chapel dock
embassy furnace greenhouse hangar incubator junction kennel laboratory museum nebula outpost pharmacy refinery satellite
turbine university viaduct workshop bicycle cottage dentist expedition festival grove horizon instrument jewel key lake
magazine neighbour ocean piano queen receipt school tree uncle village weapon clinic project team client driver printer
guesthouse checkpoint boathouse generator tractor locomotive telescope pavilion cellar attic bureau registry""".split()

HELD_OUT_ADJECTIVES = """turquoise drowsy granite mossy luminous crooked regal brittle scented tangled crimson wandering
northwestern abandoned gilded sapphire thorny feathered""".split()
HELD_OUT_NOUNS = """lighthouse chimney walrus cathedral bazaar submarine almanac carousel tapestry windmill planetarium
sundial aqueduct gazebo mandolin hedgehog barometer monastery""".split()

FIRST_NAMES = """Anna Boris Clara David Elena Felix Greta Hugo Ines Jonas Karin Leon Maria Nils Olga Paul Quinn Rosa Simon
Tara Ulrich Vera Walter Xenia Yusuf Zoe Amir Bella Carlos Diana Erik Fatima Gustav Hanna Ivan Julia Kofi Lena Mateo Nadia
Oscar Priya Rafael Sofia Tomas Uma Viktor Wendy Ximena Yara Zane Alice Bruno Chen Daisy Emil Freya George Helga Isaac
Jacob Kira Louis Mona Noah Olivia Peter Ravi Sarah Theo Ursula Vincent William Mary John James Emma Henry Arthur""".split()
CITIES = {
    "French": "Lyon Paris Marseille Nice Lille Nantes Toulouse Bordeaux Strasbourg Rennes Dijon Calais".split(),
    "German": "Berlin Munich Hamburg Cologne Dresden Leipzig Bremen Stuttgart Hanover Mainz Kiel Bonn".split(),
    "Italian": "Rome Milan Naples Turin Venice Florence Genoa Bologna Verona Pisa Palermo Siena".split(),
    "Spanish": "Madrid Seville Valencia Malaga Bilbao Granada Toledo Salamanca Cadiz Zaragoza".split(),
    "English": "London Manchester Leeds Bristol York Oxford Liverpool Norwich Exeter Durham Bath".split(),
    "Japanese": "Tokyo Osaka Kyoto Nagoya Kobe Sapporo Nara Sendai Hiroshima Fukuoka".split(),
    "Russian": "Moscow Kazan Omsk Perm Samara Tula Sochi Irkutsk Novgorod Smolensk".split(),
    "Polish": "Warsaw Krakow Gdansk Lublin Poznan Torun Lodz Wroclaw".split(),
    "American": "Boston Chicago Denver Seattle Houston Phoenix Detroit Dallas Atlanta Memphis Portland".split(),
    "Indian": "Delhi Mumbai Chennai Kolkata Pune Jaipur Bangalore Agra Kochi".split(),
    "Brazilian": "Recife Salvador Manaus Curitiba Brasilia Fortaleza Belem".split(),
    "Turkish": "Istanbul Ankara Izmir Bursa Konya Antalya Adana".split(),
    "Swedish": "Stockholm Uppsala Malmo Gothenburg Lund Visby Kiruna".split(),
    "Egyptian": "Cairo Alexandria Luxor Aswan Giza Suez".split(),
    "Dutch": "Amsterdam Rotterdam Utrecht Delft Leiden Haarlem Breda".split(),
    "Greek": "Athens Sparta Corinth Patras Rhodes Delphi Volos".split(),
}

SYLLABLES = """ba be bi bo bu da de di do du fa fe fi fo ga ge go gu ha he hi ho ja jo ka ke ki ko ku la le li lo lu ma me
mi mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi za ze zo bran cor dal
fen gar hol jen kar lin mar nor pel quin ran sel tor ul van wen yor zan thel brix ston drum flen grav kresh plim strol""".split()
ENDINGS = [
    "n",
    "r",
    "s",
    "x",
    "th",
    "l",
    "m",
    "ck",
    "nd",
    "",
    "",
    "",
    "",
    "st",
    "ix",
    "um",
    "or",
    "en",
]

# (said in the needle, asked for in the question): no word in common, same thing meant.
SYNONYMS = """physician/doctor attorney/lawyer author/writer instructor/teacher policeman/officer chef/cook pilot/aviator
merchant/trader sailor/mariner priest/clergyman monarch/king thief/burglar student/pupil infant/baby boss/manager
butcher/meat-seller cobbler/shoemaker janitor/caretaker soldier/trooper judge/magistrate farmer/grower barber/hairdresser
musician/instrumentalist servant/attendant dentist/tooth-doctor architect/designer banker/financier scientist/researcher
gardener/groundskeeper painter/artist spouse/partner lad/boy lass/girl mother/mum father/dad companion/friend
foe/enemy visitor/guest landlord/proprietor client/customer rival/competitor guide/escort spy/agent hunter/stalker
singer/vocalist actor/performer poet/bard miner/collier tailor/dressmaker carpenter/woodworker bookkeeper/accountant
automobile/car sofa/couch lorry/truck bicycle/bike aeroplane/airplane ship/vessel carpet/rug cellar/basement
residence/house shop/store cinema/movie-theatre inn/tavern forest/woods stone/rock ocean/sea brook/stream hill/mound
road/street path/trail meadow/field garbage/trash luggage/baggage garment/clothing hat/cap coat/jacket trousers/pants
mug/cup pan/skillet knife/blade lamp/light clock/timepiece photograph/picture parcel/package letter/message
computer/laptop telephone/phone television/TV journal/diary novel/book dictionary/lexicon coin/money gem/jewel
gift/present toy/plaything puppet/marionette prison/jail hospital/clinic church/chapel school/academy
workshop/studio factory/plant mill/grinder barn/shed stable/horse-house castle/fortress tower/turret gate/entrance
door/portal window/pane corridor/hallway attic/loft staircase/steps chimney/smokestack bucket/pail rope/cord
hammer/mallet axe/hatchet shovel/spade gun/firearm sword/sabre arrow/dart shield/buckler helmet/headgear
dog/hound cat/feline horse/steed donkey/ass pig/hog cow/cattle hen/chicken rabbit/bunny rat/rodent snake/serpent
frog/toad bee/honey-insect eagle/bird-of-prey wolf/wild-dog fox/vixen bear/grizzly monkey/ape lamb/sheep
soup/broth bread/loaf sweets/candy biscuit/cookie wine/vintage beer/ale meal/dinner fruit/produce maize/corn
engine/motor pipe/tube battery/cell cable/wire screen/display keyboard/keypad program/software robot/android
rocket/missile satellite/orbiter planet/world island/isle lake/pond desert/wasteland jungle/rainforest bay/cove
cave/grotto volcano/fire-mountain storm/tempest glacier/ice-field map/chart flag/banner drum/tambour violin/fiddle
statue/sculpture monument/memorial museum/gallery library/book-room bank/money-house office/bureau station/depot
airport/airfield harbour/port bridge/overpass tunnel/underpass tram/streetcar taxi/cab coach/bus tent/marquee""".split()
SYNONYM_PAIRS = [tuple(pair.replace("-", " ").split("/")) for pair in SYNONYMS]

# (statement about {k} with value {v}, question about {q}), digits as value; no content word in common.
OTHER_WORDS_NUMBER = [
    ("The {k} costs {v} dollars.", "What is the price of the {q}?"),
    ("The {k} weighs {v} grams.", "How heavy is the {q}?"),
    ("One can open the {k} with {v}.", "Which code unlocks the {q}?"),
    ("To reach the {k}, dial {v}.", "What phone number belongs to the {q}?"),
    ("The {k} was born in {v}.", "Which year is the birth year of the {q}?"),
    ("The {k} earns {v} a year.", "What salary does the {q} get?"),
    ("The {k} carries serial {v}.", "Which identification number has the {q}?"),
    ("Somebody bought the {k} for {v}.", "How much was paid when the {q} got sold?"),
    ("The {k} measures {v} metres.", "How long is the {q}?"),
    ("There are {v} seats inside the {k}.", "How many people can sit in the {q}?"),
    ("They built the {k} in {v}.", "When was the {q} constructed?"),
    ("The {k} stands at an altitude of {v}.", "How high up is the {q}?"),
    ("Our {k} owes the bank {v}.", "What is the debt of the {q}?"),
    ("The {k} hides behind the combination {v}.", "Which secret number protects the {q}?"),
    ("{v} people have visited the {k}.", "How many guests came to see the {q}?"),
    ("The {k} received room {v}.", "Which chamber was assigned to the {q}?"),
    ("Mail for the {k} goes to box {v}.", "Where should one send letters meant for the {q}?"),
    ("The {k} finished the race wearing {v}.", "What number was on the shirt of the {q}?"),
    ("The {k} holds {v} litres.", "What is the capacity of the {q}?"),
    ("The {k} travelled {v} miles.", "What distance did the {q} cover?"),
    ("The {k} is {v} days old.", "What is the age of the {q}?"),
    ("Insurance policy {v} covers the {k}.", "Under which contract is the {q} protected?"),
    ("The {k} scored {v} points.", "What result did the {q} achieve?"),
    ("The {k} logs in with {v}.", "What is the password of the {q}?"),
]
# Held out: used by the evaluation only.
OTHER_WORDS_NUMBER_HELD_OUT = [
    ("Nobody but the {k} knows {v}.", "Which number does the {q} keep secret?"),
    ("The {k} paid {v} in taxes.", "How much did the {q} give to the state?"),
    ("The {k} was repaired for {v}.", "How much money did fixing the {q} take?"),
    ("{v} opens the locker of the {k}.", "What combination must be entered for the {q}?"),
]
OTHER_WORDS_CITY = [
    ("The {k} lives in {v}.", "Which {n} city is the home of the {q}?"),
    ("The {k} comes from {v}.", "In which {n} town was the {q} born?"),
    ("The {k} works at a company in {v}.", "Which {n} city gives the {q} a job?"),
    ("You will find the {k} in {v}.", "Which {n} place should be searched for the {q}?"),
    (
        "The {k} spent the winter in {v}.",
        "Which {n} city did the {q} choose as a cold-season refuge?",
    ),
    ("They shipped the {k} to {v}.", "What {n} town received the {q}?"),
    ("The {k} was last seen in {v}.", "From which {n} city did the {q} vanish?"),
    ("The {k} has moved to {v}.", "Which {n} city is the new address of the {q}?"),
]

LOG_WORDS = """connection timeout retry worker scheduler cache request response handler queue session token database
replica shard cluster node leader follower snapshot commit rollback index segment buffer socket listener pool thread
process memory disk volume mount backup restore migration schema table column row cursor transaction lock deadlock
heartbeat probe health metric gauge counter trace span batch stream partition offset consumer producer topic broker""".split()
CODE_WORDS = """value index count total buffer result item node left right head tail size offset length width height
name path file line key table state cache queue stack list array map set user config option flag mode level limit start end
source target parent child first last next previous current input output data record field message event handler worker
client server request response token session query filter sort group order price amount score rank weight delta sum mean
max min step batch window frame block chunk page word text label color point shape edge graph tree root leaf depth""".split()


def is_held_out_key(key: str) -> bool:
    """True for one key text in eight; training never uses those, the evaluation uses only those."""
    return zlib.crc32(key.lower().encode()) % 8 == 0


def syllable_word(r: random.Random, low: int = 2, high: int = 4) -> str:
    return "".join(r.choice(SYLLABLES) for _ in range(r.randint(low, high))) + r.choice(ENDINGS)


def digits(r: random.Random, n: int | None = None) -> str:
    n = n or r.choice((1, 2, 3, 4, 4, 5, 5, 5, 5, 5, 5, 6, 7, 8))
    return "".join(r.choice("0123456789") for _ in range(n))


def hex_text(r: random.Random, n: int) -> str:
    return "".join(r.choice("0123456789abcdef") for _ in range(n))


def identifier(r: random.Random) -> str:
    words = [
        r.choice(CODE_WORDS if r.random() < 0.7 else LOG_WORDS) for _ in range(r.randint(2, 3))
    ]
    if r.random() < 0.25:
        words[-1] = syllable_word(r, 1, 3)
    style = r.random()
    if style < 0.6:
        return "_".join(words)
    if style < 0.75:
        return "".join(w.capitalize() for w in words)
    if style < 0.85:
        return "_".join(words).upper()
    return ".".join(words) if style < 0.93 else "-".join(words)


def person(r: random.Random) -> str:
    first = r.choice(FIRST_NAMES) if r.random() < 0.6 else syllable_word(r, 1, 2).capitalize()
    if r.random() < 0.25:
        return first
    last = syllable_word(r, 1, 3).capitalize()
    title = (
        r.choice(("Mr. ", "Mrs. ", "Dr. ", "Captain ", "Professor ", "Miss "))
        if r.random() < 0.12
        else ""
    )
    return f"{title}{first} {last}" if not title else f"{title}{last}"


def place(r: random.Random) -> str:
    u = r.random()
    if u < 0.4:
        return r.choice(CITIES[r.choice(list(CITIES))])
    name = syllable_word(r, 1, 2).capitalize()
    return name + r.choice(
        ("ville", "ton", "burg", "ford", "ham", " Bay", " Hill", " Falls", "stad", " Creek", "")
    )


def machine_id(r: random.Random) -> str:
    letters = "".join(r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.randint(1, 3)))
    form = r.randrange(6)
    if form == 0:
        return f"{letters}-{digits(r, r.randint(2, 4))}"
    if form == 1:
        return f"{letters}{digits(r, r.randint(2, 4))}"
    if form == 2:
        return f"{r.choice(CODE_WORDS)}-{digits(r, r.randint(1, 3))}"
    if form == 3:
        return f"{r.choice(LOG_WORDS)}_{digits(r, r.randint(2, 4))}"
    if form == 4:
        return hex_text(r, r.choice((6, 8)))
    return f"#{digits(r, r.randint(3, 5))}"


def file_name(r: random.Random) -> str:
    stem = identifier(r).lower() if r.random() < 0.6 else r.choice(NOUNS)
    if r.random() < 0.3:
        stem += "_" + digits(r, r.randint(1, 3))
    folder = r.choice(CODE_WORDS) + "/" if r.random() < 0.3 else ""
    return (
        folder
        + stem
        + r.choice(
            (".txt", ".py", ".c", ".cc", ".json", ".csv", ".log", ".md", ".pdf", ".js", ".h")
        )
    )


def noun_phrase(r: random.Random, held_out: bool = False) -> str:
    adjectives = HELD_OUT_ADJECTIVES if held_out else ADJECTIVES
    nouns = HELD_OUT_NOUNS if held_out else NOUNS
    u = r.random()
    if u < 0.65 or held_out:
        return f"{r.choice(adjectives)} {r.choice(nouns)}"
    if u < 0.75:
        return r.choice(nouns)
    if u < 0.85:
        return f"{r.choice(adjectives)} {r.choice(adjectives)} {r.choice(nouns)}"
    if u < 0.93:
        return f"{r.choice(nouns)} {r.choice(('in', 'near', 'of', 'at'))} {place(r)}"
    return f"{r.choice(nouns)} {r.choice(nouns)}"


def random_words(r: random.Random, pool: list[str] | None) -> str:
    """Two words out of the books' vocabulary, or of random syllables."""
    if pool and r.random() < 0.6:
        return f"{r.choice(pool)} {r.choice(pool)}"
    words = [syllable_word(r) for _ in range(r.randint(1, 2))]
    return " ".join(w.capitalize() if r.random() < 0.4 else w for w in words)


# kind -> (maker, may take the article "the")
KEY_KINDS = (
    "noun",
    "noun",
    "noun",
    "person",
    "person",
    "place",
    "id",
    "identifier",
    "file",
    "words",
    "words",
)


def make_key(
    r: random.Random, kind: str | None = None, held_out: bool = False, pool: list[str] | None = None
) -> str:
    """One key; `held_out` says on which side of `is_held_out_key` it lies."""
    while True:
        k = kind or r.choice(KEY_KINDS)
        if k == "noun":
            noun = noun_phrase(r, held_out and r.random() < 0.5)
            key = "the " + noun if r.random() < 0.6 else noun
        elif k == "person":
            key = person(r)
        elif k == "place":
            key = place(r)
        elif k == "id":
            key = machine_id(r)
        elif k == "identifier":
            key = identifier(r)
        elif k == "file":
            key = file_name(r)
        else:
            key = random_words(r, pool)
        if is_held_out_key(key.removeprefix("the ")) == held_out:
            return key


def make_value(r: random.Random, kind: str | None = None, pool: list[str] | None = None) -> str:
    kind = kind or r.choice(("digits",) * 8 + ("word", "hex", "phrase", "name", "place", "id"))
    if kind == "digits":
        return digits(r)
    if kind == "word":
        return syllable_word(r) if r.random() < 0.5 or not pool else r.choice(pool)
    if kind == "hex":
        return hex_text(r, r.choice((4, 6, 8)))
    if kind == "phrase":
        return " ".join(
            r.choice(NOUNS if r.random() < 0.5 or not pool else pool)
            for _ in range(r.randint(2, 4))
        )
    if kind == "name":
        return person(r).replace(".", "")
    if kind == "place":
        return place(r)
    return machine_id(r)
