"""A small PDF writer: pages of text in Helvetica, one of the fonts that every reader has."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

CATALOGUE, PAGES, REGULAR, BOLD, FIRST_PAGE = 1, 2, 3, 4, 5
LINE_LENGTH = 84
LINES_PER_PAGE = 40


def encode(title: str, paragraphs: Sequence[str]) -> bytes:
    """The PDF file of a text: a heading, then the paragraphs on as many pages as they need."""
    pages = paginated(paragraphs)
    kids = " ".join(f"{FIRST_PAGE + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages {PAGES} 0 R >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        font("Helvetica"),
        font("Helvetica-Bold"),
    ]
    for number, lines in enumerate(pages, start=1):
        objects.append(page(len(objects) + 2))
        objects.append(content(page_text(title, lines, number, len(pages))))
    return assembled(objects)


def paginated(paragraphs: Sequence[str]) -> list[list[str]]:
    """The paragraphs as lines, and the lines as pages."""
    lines = []
    for paragraph in paragraphs:
        lines += [*textwrap.wrap(paragraph, LINE_LENGTH), ""]
    starts = range(0, max(len(lines), 1), LINES_PER_PAGE)
    return [lines[start : start + LINES_PER_PAGE] for start in starts]


def font(name: str) -> bytes:
    """One of the fonts that need not be in the file."""
    return (
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()
    )


def page(content_number: int) -> bytes:
    """A page in A4 that shows one content."""
    return (
        f"<< /Type /Page /Parent {PAGES} 0 R /MediaBox [0 0 595 842]"
        f" /Resources << /Font << /F1 {REGULAR} 0 R /F2 {BOLD} 0 R >> >>"
        f" /Contents {content_number} 0 R >>"
    ).encode()


def page_text(title: str, lines: Sequence[str], number: int, count: int) -> bytes:
    """What is drawn on a page: a heading, its lines, and its number at the foot."""
    heading, size = (title, 22) if number == 1 else (f"{title}, continued", 13)
    drawn = [b"BT", f"/F2 {size} Tf 72 760 Td".encode(), literal(heading) + b" Tj"]
    drawn += [b"/F1 11 Tf 15 TL 0 -36 Td"]
    drawn += [literal(line) + b" Tj T*" for line in lines]
    drawn += [b"ET", b"BT /F1 9 Tf 72 48 Td"]
    drawn += [literal(f"Page {number} of {count}") + b" Tj ET"]
    return b"\n".join(drawn)


def literal(text: str) -> bytes:
    """A string as a PDF holds it."""
    data = text.encode("cp1252", "replace")
    for special in (b"\\", b"(", b")"):
        data = data.replace(special, b"\\" + special)
    return b"(" + data + b")"


def content(stream: bytes) -> bytes:
    """A stream object."""
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream)


def assembled(objects: Sequence[bytes]) -> bytes:
    """The objects, numbered from one, with the table that says where each of them begins."""
    # The second line tells programs that guess at files that this one is binary.
    file = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    table = [b"0000000000 65535 f \n"]
    for number, body in enumerate(objects, start=1):
        table.append(b"%010d 00000 n \n" % len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(file)
    file += b"xref\n0 %d\n%b" % (len(table), b"".join(table))
    file += b"trailer\n<< /Size %d /Root %d 0 R >>\n" % (len(table), CATALOGUE)
    file += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(file)
