"""Tables as CSV and logs, the same each time: text as sites export and keep it.

Payments have numbers in them that nobody can guess, orders have the same words again and again:
between the two the levels of deflate and the accelerators differ most.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

Rows = Callable[[random.Random], Iterator[str]]

_FIRST = "Anna Ben Clara David Emma Farid Greta Hugo Ines Jonas Kira Liam Mia Noor Pia".split()
_LAST = "Abel Berg Cohen Diaz Ekström Fischer Gupta Hansen Ito Jansen Kaya Meyer Novák".split()
_CITIES = "Berlin,Lyon,Porto,Gdańsk,Malmö,Turin,Ghent,Graz,Brno,Cork,Riga,Split,Vigo".split(",")
_ARTICLES = "lamp table chair shelf desk sofa bed rug mirror clock vase basket curtain".split()
_STATUS = ("open", "paid", "paid", "paid", "sent", "sent", "sent", "sent", "returned")
_NOTES = ("", "", "", "", "leave with the neighbour", "gift", "call before delivery", "2nd floor")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def text(length: int, rows: Rows) -> bytes:
    """Return so many bytes of a table."""
    source = rows(random.Random(1))
    parts: list[bytes] = []
    total = 0
    while total < length:
        parts.append("".join(next(source) for _ in range(1000)).encode())
        total += len(parts[-1])
    return b"".join(parts)[:length]


def orders(source: random.Random) -> Iterator[str]:
    """Yield the rows of a shop's orders."""
    choice, number = source.choice, source.random
    yield "number,ordered_at,customer,e_mail,city,article,quantity,price,status,note\n"
    ordered_at, order = datetime(2024, 1, 1, 8), 100_000
    while True:
        order += 1
        ordered_at += timedelta(seconds=int(number() * 90))
        first, last = choice(_FIRST), choice(_LAST)
        yield (
            f"{order},{ordered_at.isoformat()},{first} {last},"
            f"{first.lower()}.{last.lower()}{int(number() * 1000)}@example.org,{choice(_CITIES)},"
            f"{choice(_ARTICLES)}-{int(number() * 900) + 100},{int(number() * 9) + 1},"
            f"{number() * 500:.2f},{choice(_STATUS)},{choice(_NOTES)}\n"
        )


def payments(source: random.Random) -> Iterator[str]:
    """Yield the rows of a ledger."""
    choice, number = source.choice, source.random
    yield "number,account,paid_on,kind,amount,currency,shop,reference\n"
    payment = 0
    while True:
        payment += 1
        reference = "".join(source.choices(_LETTERS, k=4 + int(number() * 6)))
        yield (
            f"{payment},{int(number() * 9e9) + 1_000_000_000},"
            f"2024-{int(number() * 12) + 1:02}-{int(number() * 28) + 1:02},"
            f"{choice(('SALE', 'REFUND', 'FEE'))},{number() * 900:.2f},EUR,"
            f"{int(number() * 5000)},{reference}\n"
        )


def requests(source: random.Random) -> Iterator[str]:
    """Yield the lines of a site's log. They are an eighth as long when they are deflated."""
    choice, number = source.choice, source.random
    at = datetime(2024, 1, 1, 8)
    while True:
        at += timedelta(milliseconds=int(number() * 900))
        article = f"{choice(_ARTICLES)}-{int(number() * 900) + 100}"
        yield (
            f"{at.isoformat(timespec='milliseconds')}Z INFO django.request 203.0.113.7 "
            f'"GET /shop/{choice(_CITIES)}/articles/{article}/ HTTP/1.1" 200 '
            f"{int(number() * 90) + 10}ms id={int(number() * 2**32):08x} user_agent=Mozilla/5.0\n"
        )
