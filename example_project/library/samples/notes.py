"""Field notes in several scripts: by file name, each with a title and its text."""

# ruff: noqa: RUF001 - letters of other scripts that look like Latin ones are the point here.
from __future__ import annotations

NOTES = {
    "Été à Örö – café, naïveté, gâteau.txt": (
        "A summer, in French",
        """\
Été à Örö

Le matin, la mer était calme. Nous avons compté trente eiders près du phare.
L'après-midi, un orage ; le café du ponton a fermé plus tôt que prévu.
""",
    ),
    "Fågelsträck på Örö.txt": (
        "Bird migration, in Swedish",
        """\
Fågelsträck på Örö

Tjugo tranor flög över fyren klockan sju. Vinden vände mot sydväst.
På kvällen hördes en berguv bakom bastun.
""",
    ),
    "Ημερολόγιο Αυγούστου.txt": (
        "Diary for August, in Greek",
        """\
Ημερολόγιο Αυγούστου

Το πρωί η θάλασσα ήταν ήρεμη. Μετρήσαμε δώδεκα γλάρους κοντά στον φάρο.
Το βράδυ φύσηξε νότιος άνεμος.
""",
    ),
    "Полевой дневник.txt": (
        "Field diary, in Russian",
        """\
Полевой дневник

Утром над островом был туман. У маяка мы видели двух орланов.
Вечером ветер стих, и море стало гладким.
""",
    ),
    "野外観察ノート.txt": (
        "Observations, in Japanese",
        """\
野外観察ノート

朝、灯台の近くでハクチョウを五羽見ました。
午後は風が強くなり、船は出ませんでした。
""",
    ),
    "ملاحظات ميدانية.txt": (
        "Field notes, in Arabic",
        """\
ملاحظات ميدانية

كان البحر هادئا في الصباح. رأينا سبعة طيور قرب المنارة.
وفي المساء هبت ريح من الجنوب.
""",
    ),
    "יומן שדה.txt": (
        "Field diary, in Hebrew",
        """\
יומן שדה

בבוקר הים היה שקט. ראינו שלושה עגורים ליד המגדלור.
בערב נשבה רוח דרומית.
""",
    ),
    "🦉 Owl counts 🌙.txt": (
        "Counted at night, all spring",
        """\
🦉 Owl counts 🌙

12 March: 2 🦉, 20 March: 3 🦉, 2 April: 1 🦉 and a very loud 🐸.
""",
    ),
}
