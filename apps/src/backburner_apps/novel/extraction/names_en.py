"""Closed lists behind the English rules: titles, verbs that people do, and words that are no names."""

from .lexicon import words

SHARED_TITLES = words(
    """
    Mr. Mrs. Ms. Mr Mrs Ms Miss Mister Missus Madam Madame Lady Lord Sir Master
    """
)

TITLES = SHARED_TITLES | words(
    """
    Dr. Dr Doctor Prof. Prof Professor Captain Capt. Commander Colonel Col. Major General Gen.
    Lieutenant Lt. Sergeant Sgt. Corporal Private Admiral Ensign Marshal Inspector Detective Constable
    Officer Sheriff Deputy Chief Warden Reverend Rev. Father Sister Brother Mother Bishop Cardinal
    Pastor Rabbi Deacon Judge Mayor Governor Senator President Minister Councillor Councilor
    Councilman Chancellor Ambassador King Queen Prince Princess Duke Duchess Count Countess Baron
    Baroness Emperor Empress Dame Grandmother Grandfather Granny Cousin Uncle Aunt Auntie Grandma
    Grandpa Nurse Coach Agent Monsieur Mademoiselle Don Doña Herr Frau Señor Señora Signor Magistrate Steward Squire
    """
)

SPEECH_VERBS = words(
    """
    said asked replied answered whispered shouted called cried murmured muttered snapped added began
    continued agreed repeated laughed sighed demanded insisted admitted explained told warned growled
    yelled screamed hissed remarked says asks replies answers whispers shouts calls cries murmurs
    mutters adds tells
    """
)

HUMAN_VERBS = SPEECH_VERBS | words(
    """
    looked nodded smiled shrugged frowned grinned turned walked ran stood sat knelt leaned stepped
    climbed reached held took put pulled pushed picked gave handed opened closed shut watched stared
    glanced saw heard listened felt knew thought wondered remembered wanted wished hoped tried waited
    hesitated swallowed blinked breathed wrote read wept winced shivered swore drew lifted raised
    lowered threw caught ate drank slept woke dressed rode spoke kissed hugged pointed waved paused
    refused promised decided realised realized understood folded carried hurried followed led cleared
    crossed rubbed wiped unwrapped unfolded poured tilted shook bowed rose tucked understands knows
    thinks looks nods smiles turns walks stands sits takes wants laid bit hid lay spat snorted
    chuckled coughed gasped
    """
)

IRREGULAR_PAST = words(
    """
    was had did went came got made left kept let found lost met brought bought told sold sent spent
    built fell grew flew blew broke chose drove froze hung hit hurt lit paid ran sang sank shot stole
    struck swam swung taught tore wore won could would should might must will can has is does never
    always also still only just
    """
)

PERSONAL_NOUNS = words(
    """
    hand hands face eyes eye voice arm arms shoulder shoulders head hair mouth lips fingers heart mind
    feet foot knees mother father sister brother wife husband son daughter uncle aunt friend
    grandmother grandfather gaze smile breath
    """
)

NOT_NAMES = words(
    """
    i a an the this that these those he she it we you they him her them his its our your their my mine
    yours ours who whom whose what which when where why how if then than but and or nor so yet for not
    no yes oh ah well now here there all any both each either every few many more most much neither
    none nobody somebody anybody everybody everyone someone anyone no-one nothing something anything
    everything one two three four five six seven eight nine ten eleven twelve twenty hundred first
    second third last next other another such same some several of in on at by to from with without
    within into onto upon over under above below between among behind before after beyond beneath
    beside besides inside outside through across along around against about toward towards near off
    out up down as because although though while until unless since once whether perhaps maybe however
    meanwhile still even ever never always often again only just also too very quite rather almost
    instead indeed somewhere nowhere everywhere today tomorrow yesterday tonight later soon suddenly
    finally slowly quietly monday tuesday wednesday thursday friday saturday sunday january february
    march april may june july august september october november december spring summer autumn winter
    christmas easter god lord sir madam ma'am heaven hell english french german spanish italian
    chinese russian american british latin greek roman european african indian japanese ok okay hello
    hi hey please thanks thank goodbye sorry chapter part book prologue epilogue mr mrs ms dr mum mom
    dad mama papa mother father grandma grandpa north south east west northern southern eastern
    western let come go look listen wait stop keep take give tell don't can't won't isn't it's i'm i'd
    i'll i've you're you'd you've you'll we're we've we'll they're he's she's that's there's what's
    who's is are was were be been do does did have has had will would shall should can could might
    must
    ask bring find get leave meet help call show read run send open close hold put turn follow remember
    listen try watch thank forgive trust poor dear young old
    """
)

# Ordinary words that are first names as often; beside a surname they count as names.
FIRST_NAME_WORDS = words("may april june august summer autumn will mark faith grace hope rose")

PLACE_ENDINGS = words(
    """
    Street Road Lane Avenue Alley Square Court Row Way Bridge Gate Station Inn Tavern Hotel House Hall
    Manor Castle Tower Keep Abbey Church Chapel Cathedral Temple School College University Hospital
    Prison Market Harbor Harbour Port Bay Cove Beach Island Isle Islands River Creek Lake Sea Ocean
    Falls Ford Marsh Moor Heath Forest Wood Woods Grove Park Garden Gardens Field Fields Farm Mill
    Valley Vale Dale Glen Hill Hills Ridge Mountain Mountains Peak Pass Gap Canyon Gorge Desert Plains
    Bend Point Head Cliff Cliffs Rock Quay Wharf Docks Pier Town Village City County Province Kingdom
    Moon Planet Colony Outpost Base Camp Fort Crossing Hollow Reach End Springs Landing Library Museum
    Theatre Theater Palace Quarter District Terrace Place
    """
)

PLACE_BEGINNINGS = words("Saint St. Mount Lake Fort Port Cape New San Santa Upper Lower Great Little")

FACTION_ENDINGS = words(
    """
    Guild Order Company League Council Brotherhood Sisterhood Society Union Alliance Consortium
    Syndicate Corporation Patrol Army Navy Guard Watch Legion Clan Tribe Party Front Church Cult
    Circle Covenant Coven Federation Empire Republic Commission Committee Institute Agency Bureau
    Ministry Department Authority Collective Cartel Gang Crew Rangers Knights Rebels Resistance Court
    Assembly Parliament Senate Trust Bank
    """
)

# "The Guild" alone may stand for a faction named in full elsewhere; "the Court" is as often a yard.
LONE_FACTIONS = FACTION_ENDINGS - words("Court Circle Trust Bank Front Watch Church")
