"""The tags of `{% load zip_download %}`: what they render, and what it does in a browser."""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from django.db import models
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import get_token
from django.template import Context, RequestContext, Template
from django.template.base import VariableDoesNotExist
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch, path
from django.utils.translation import override

import django_stream_zip
from django_stream_zip.templatetags.zip_download import (
    register,
    zip_checkbox,
    zip_form,
    zip_select_all,
    zip_selection,
)
from django_stream_zip.views import QuerySetZipDownloadView
from tests.models import Book, Cover, Document, Film, Folder, Novel, Scan, Sheet, Translation
from tests.support.browser import Browser, shared_browser
from tests.support.counting import CountingStorage
from tests.support.pages import axe, findings
from tests.support.readers import read_zipfile
from tests.support.rows import make_document

__all__ = ["axe", "shared_browser"]

# One browser for all of its tests.
pytestmark = [pytest.mark.urls(__name__), pytest.mark.xdist_group("template_tag")]

PACKAGE = Path(django_stream_zip.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "templates.rst"


def view_of(kind: type[models.Model]) -> Any:
    return QuerySetZipDownloadView.as_view(model=kind, ids_param="ids", filename="chosen.zip")


KINDS = (Document, Scan, Cover, Sheet, Translation)
urlpatterns = [path(f"{kind.__name__.lower()}/", view_of(kind)) for kind in KINDS]
urlpatterns += [path("download/", view_of(Book), name="download")]
urlpatterns += [path("form/", lambda request: HttpResponse(rendered_for(request)))]


def rendered_for(request: HttpRequest) -> str:
    source = "{% load zip_download %}{% zip_form 'download' rows %}"
    return Template(source).render(RequestContext(request, {"rows": books()}))


def rendered(source: str, **context: Any) -> str:
    return Template("{% load zip_download %}" + source).render(Context(context))


class Elements(HTMLParser):
    """Finds the elements of a page: their attributes, by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[dict[str, str | None]]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.setdefault(tag, []).append(dict(attributes))


def boxes(page: str) -> list[dict[str, str | None]]:
    """Return the checkboxes of rows."""
    return [box for box in Elements(page).found.get("input", []) if "value" in box]


def texts(page: str) -> str:
    """Return what people see, without white space that they don't."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


# A checkbox.


def test_a_checkbox_has_the_key_the_size_and_what_else_it_is_given() -> None:
    book = Book(pk=12, file="a.pdf", zip_size=3000)
    assert boxes(rendered("{% zip_checkbox book %}", book=book)) == [
        {
            "type": "checkbox",
            "name": "ids",
            "value": "12",
            "id": "id_ids_12",
            "data-zip-size": "3000",
        }
    ]
    source = (
        "{% zip_checkbox 7 name='docs' size=5 id='box' class='a b' aria_label='<A>' checked=True %}"
    )
    assert boxes(rendered(source)) == [
        {
            "type": "checkbox",
            "name": "docs",
            "value": "7",
            "id": "box",
            "data-zip-size": "5",
            "class": "a b",
            "aria-label": "<A>",
            "checked": None,
        }
    ]


def make_rows(storage: CountingStorage) -> list[models.Model]:
    """Make rows with keys of all kinds."""
    storage.files["a"] = b"the file"
    folder = Folder.objects.create(pk=4321)
    return [
        make_document(storage, pk=1234567),
        Scan.objects.create(id=uuid.UUID(int=5), file="a"),
        Cover.objects.create(folder=folder, file="a"),
        Sheet.objects.create(code="<a 'b\">", file="a"),
        Translation.objects.create(folder=folder, language="de, at", file="a"),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
def test_what_is_ticked_is_downloaded_whatever_the_keys_are(
    storage: CountingStorage, settings: Any, method: str
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    for row in make_rows(storage):
        page = rendered("{% zip_checkbox row %}", row=row)
        [box] = boxes(page)
        assert re.fullmatch(r"\S+", box["id"] or "")
        form = QueryDict(mutable=True)
        form.appendlist(str(box["name"]), box["value"])
        send = getattr(Client(), method)
        response = send(f"/{type(row).__name__.lower()}/", form.dict(), follow=True)
        assert len(read_zipfile(response.getvalue())) == 1


# Sizes.


@pytest.mark.parametrize(
    ("row", "size"),
    [
        (Book(pk=1, file="a.pdf", zip_size=10), "10"),
        (Book(pk=1, file="a.pdf", zip_size=0), "0"),
        (Book(pk=1, file="a.pdf", zip_size=None), None),
        (Book(pk=1, file="", zip_size=None), "0"),
        (Novel(pk=1, file="a.pdf", zip_size=10), "10"),
        (Film(pk=1, poster="a", poster_bytes=10, trailer="b", trailer_bytes=20), "30"),
        (Film(pk=1, poster="a", poster_bytes=10), "10"),
        # Its script has no column.
        (Film(pk=1, poster="a", poster_bytes=10, script="b"), None),
        (Document(pk=1, file="a.pdf", size=10), None),
        (Folder(pk=1), None),
    ],
)
def test_columns_for_sizes_say_the_size_of_all_files_of_a_row(
    row: models.Model, size: str | None
) -> None:
    [box] = boxes(rendered("{% zip_checkbox row %}", row=row))
    assert box.get("data-zip-size") == size


def test_a_size_that_is_passed_counts() -> None:
    book = Book(pk=1, file="a.pdf", zip_size=10)
    [box] = boxes(rendered("{% zip_checkbox book size=20 %}", book=book))
    assert box["data-zip-size"] == "20"
    for size in ("", None):  # what a template has for a name it doesn't know
        [box] = boxes(rendered("{% zip_checkbox 1 size=size %}", size=size))
        assert "data-zip-size" not in box


@pytest.mark.django_db
def test_neither_storage_nor_database_are_asked_for_a_size(
    storage: CountingStorage, django_assert_num_queries: Any
) -> None:
    storage.files["a.pdf"] = b"four"
    Book.objects.bulk_create([Book(file="a.pdf", title="A"), Book(file="a.pdf", title="B")])
    Book.objects.update(zip_size=4)
    storage.calls.clear()
    sizes = {}
    for name, rows in {
        "all": Book.objects.all(),
        "deferred": Book.objects.defer("zip_size"),
        "without the file": Book.objects.only("zip_size"),
    }.items():
        with django_assert_num_queries(1):
            page = rendered("{% for row in rows %}{% zip_checkbox row %}{% endfor %}", rows=rows)
        sizes[name] = {box.get("data-zip-size") for box in boxes(page)}
    assert sizes == {"all": {"4"}, "deferred": {None}, "without the file": {"4"}}
    assert storage.calls == []


# The whole form.


def books() -> list[Book]:
    return [
        Book(pk=1, title="<b>", file="a.pdf", zip_size=2048),
        Book(pk=2, title="", file="b.pdf", zip_size=None),
    ]


def test_a_form_has_a_row_for_each_and_its_size_where_that_is_known() -> None:
    page = rendered("{% zip_form 'download' books label='title' %}", books=books())
    assert texts(page) == (
        "Books Select all &lt;b&gt; 2.0\xa0KB Clear Download selected".replace("\xa0", " ")
    )
    elements = Elements(page).found
    [form] = elements["form"]
    assert (form["action"], form["method"]) == ("/download/", "post")
    assert [box["value"] for box in boxes(page)] == ["1", "2"]
    # Without scripts, what ticks all is hidden, and nothing is said of what is ticked.
    assert "hidden" in elements["label"][0]
    assert '<p role="status"></p>' in page
    # Nothing that a strict policy refuses.
    assert "style" not in elements
    assert [script["src"] for script in elements["script"]] == [
        "/static/django_stream_zip/selection.js"
    ]
    for attributes in (each for found in elements.values() for each in found):
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_a_form_says_what_it_is_told() -> None:
    page = rendered(
        "{% zip_form '/a/?b=1' books size='pk' name='docs' method='get' legend='Shelf'"
        " button='Take' %}",
        books=books(),
    )
    assert (
        texts(page) == "Shelf Select all Book object (1) 1 byte Book object (2) 2 bytes Clear Take"
    )
    elements = Elements(page).found
    assert elements["form"] == [{"class": "zip-form", "action": "/a/?b=1", "method": "get"}]
    assert {box["name"] for box in boxes(page)} == {"docs"}
    assert elements["zip-selection"][0]["data-name"] == "docs"


def test_labels_and_sizes_may_be_far_away_or_methods() -> None:
    document = Document(pk=1, title="A", folder=Folder(name="Shelf"), size=5)
    for path_, text in (("folder.name", "Shelf"), ("get_shelf_mark", "mark A.pdf")):
        page = rendered(
            f"{{% zip_form 'download' rows label='{path_}' size='size' %}}", rows=[document]
        )
        assert f"{text} 5 bytes" in texts(page).replace("\xa0", " ")


@pytest.mark.django_db
def test_what_a_row_does_not_have_is_empty_as_in_every_template() -> None:
    folder = Folder.objects.create(name="Shelf")
    source = "{% zip_form 'download' rows label='cover.file' size='cover.pk' legend='A' %}"
    page = rendered(source, rows=[folder])
    assert texts(page) == "A Select all Clear Download selected"
    assert len(boxes(page)) == 1


def test_what_is_written_wrong_is_not_hidden() -> None:
    for source, error in (
        ("{% zip_form 'download' rows label='titel' %}", VariableDoesNotExist),
        ("{% zip_form 'nowhere' rows %}", NoReverseMatch),
    ):
        with pytest.raises(error):
            rendered(source, rows=books())


def test_without_rows_there_is_no_form() -> None:
    assert texts(rendered("{% zip_form 'download' rows %}", rows=[])) == (
        "There are no files to download."
    )


def test_a_form_that_posts_has_a_token_and_a_link_has_none() -> None:
    request = RequestFactory().get("/")
    get_token(request)
    for method, number in (("post", 1), ("POST", 1), ("get", 0)):
        template = Template(
            f"{{% load zip_download %}}{{% zip_form '/a/' rows method='{method}' %}}"
        )
        page = template.render(RequestContext(request, {"rows": books()}))
        assert page.count("csrfmiddlewaretoken") == number


@pytest.mark.parametrize("source", ["{% zip_selection %}", "{% zip_form '/a/' rows %}"])
def test_a_script_has_the_nonce_of_the_policy(source: str) -> None:
    page = rendered(source, rows=books(), csp_nonce="r4nd0m")
    assert [script["nonce"] for script in Elements(page).found["script"]] == ["r4nd0m"]
    assert "nonce" not in rendered(source, rows=books())


def test_the_nonce_is_that_of_django_s_own_policy(settings: Any) -> None:
    csp = pytest.importorskip("django.utils.csp")
    settings.MIDDLEWARE = ["django.middleware.csp.ContentSecurityPolicyMiddleware"]
    settings.SECURE_CSP = {"script-src": [csp.CSP.NONCE]}
    [engine] = settings.TEMPLATES
    processors = {"context_processors": ["django.template.context_processors.csp"]}
    settings.TEMPLATES = [{**engine, "OPTIONS": processors}]
    response = Client().get("/form/")
    [script] = Elements(response.content.decode()).found["script"]
    assert response.headers["Content-Security-Policy"] == f"script-src 'nonce-{script['nonce']}'"


def test_a_template_of_the_site_comes_first(settings: Any) -> None:
    own = {"django_stream_zip/selection.html": "<b>{{ button }}</b>"}
    locmem = ("django.template.loaders.locmem.Loader", own)
    loaders = [locmem, "django.template.loaders.app_directories.Loader"]
    backend = "django.template.backends.django.DjangoTemplates"
    settings.TEMPLATES = [{"BACKEND": backend, "OPTIONS": {"loaders": loaders}}]
    assert rendered("{% zip_selection button='Take' %}") == "<b>Take</b>"


# Languages.


def test_texts_and_units_are_those_of_the_language() -> None:
    with override("es"):
        page = rendered("{% zip_select_all %}{% zip_selection %}")
    assert texts(page) == "Seleccionar todo Anular selección Descargar selección"
    [bar] = Elements(page).found["zip-selection"]
    assert bar["lang"] == "es"
    assert bar["data-size"] == "Seleccionados: %(count)s (%(size)s)"
    with override("fr"):
        [bar] = Elements(rendered("{% zip_selection %}")).found["zip-selection"]
    assert (
        bar["data-units"]
        == r'["%s\u00a0Kio", "%s\u00a0Mio", "%s\u00a0Gio", "%s\u00a0Tio", "%s\u00a0Pio"]'
    )
    for code, lang in (("ca@valencia", "ca"), (None, "en")):
        with override(code, deactivate=True):
            assert (
                Elements(rendered("{% zip_selection %}")).found["zip-selection"][0]["lang"] == lang
            )


# The page of the docs.


def blocks(language: str) -> list[str]:
    pattern = rf"\.\. code-block:: {re.escape(language)}\n\n((?:    .*\n|\n)+)"
    return [dedent(block) for block in re.findall(pattern, PAGE.read_text())]


def test_the_view_and_the_forms_of_the_docs_work() -> None:
    [view] = blocks("python")
    names: dict[str, Any] = {"Photo": Book}
    exec(compile(view, "example", "exec"), names)
    photos = books()
    context = {"photos": photos, "albums": [{"name": "A", "photos": photos}]}
    urls = ModuleType("urls")
    vars(urls).update(names)
    with override_settings(ROOT_URLCONF=urls):
        pages = [Template(block).render(Context(context)) for block in blocks("html+django")]
    assert len(pages) == 2
    for page in pages:
        assert 'action="/photos/chosen/"' in page
        assert [box["value"] for box in boxes(page)] == ["1", "2"]
        assert "&lt;b&gt;" in page
        assert {"fieldset", "zip-selection"} <= Elements(page).found.keys()


def test_the_docs_name_every_tag_option_and_template() -> None:
    text = PAGE.read_text()
    assert {f"{{% {tag}" in text for tag in register.tags} == {True}
    for tag in (zip_checkbox, zip_select_all, zip_selection, zip_form):
        options = inspect.signature(tag).parameters.keys() - {"context", "attributes"}
        assert [name for name in options if not re.search(rf"\b{name}\b", text)] == []
    templates = (PACKAGE / "templates" / "django_stream_zip").iterdir()
    assert all(f"``django_stream_zip/{path.name}``" in text for path in templates)


# In a browser.

SITE = "http://site.test"
# What the site's own script and style are allowed, and nothing else.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'",
    "Content-Type": "text/html; charset=utf-8",
}

GROUPS = """
<form action="/download/">
  <fieldset id="a">{% zip_select_all label="All of a" %}
    <label>{% zip_checkbox 1 size=1000000 %} one</label>
    <label>{% zip_checkbox 2 size=800000 %} two</label>
    <label>{% zip_checkbox 3 size=1 disabled=True %} three</label>
  </fieldset>
  <fieldset id="b">{% zip_select_all label="All of b" %}
    <label>{% zip_checkbox 4 size=1073741824 %} four</label>
    <label>{% zip_checkbox 5 %} five</label>
  </fieldset>
  <fieldset id="c">{% zip_select_all label="All of c" %}</fieldset>
  {% zip_select_all label="All" %}
  <label><input type="checkbox" name="newest"> Newest first</label>
  {% zip_selection %}
</form>
"""


@pytest.fixture
def show(shared_browser: Browser) -> Iterator[Any]:
    """Serve what a template renders to the browser, with a strict policy."""
    page = shared_browser._page
    pages: dict[str, str] = {"/other/": "<!doctype html>other"}
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))

    def answer(route: Any) -> None:
        address = route.request.url.removeprefix(SITE)
        if address.startswith("/static/"):
            route.fulfill(path=PACKAGE / address[1:])
        else:
            route.fulfill(body=pages[address], headers=HEADERS)

    def show(source: str, language: str = "en", **context: Any) -> Any:
        with override(language):
            form = rendered(source, **context)
        head = f'<!doctype html><html lang="{language}"><title>Books</title>'
        pages["/"] = f"{head}<main><h1>Books</h1>{form}</main>"
        page.goto(SITE)
        return page

    page.route(f"{SITE}/**", answer)
    yield show
    page.unroute(f"{SITE}/**")
    assert problems == []


def said(page: Any) -> str:
    return str(page.get_by_role("status").inner_text()).replace("\xa0", " ")


def ticked(page: Any) -> list[str]:
    return [box.get_attribute("value") for box in page.locator("[name=ids]:checked").all()]


def state(page: Any, label: str) -> str:
    """Return how a box that ticks several is shown."""
    box = page.get_by_label(label, exact=True)
    if box.evaluate("box => box.indeterminate"):
        return "some"
    return "all" if box.is_checked() else "disabled" if box.is_disabled() else "none"


def states(page: Any) -> list[str]:
    return [state(page, label) for label in ("All of a", "All of b", "All of c", "All")]


def test_each_group_has_a_box_that_ticks_all_of_it(show: Any) -> None:
    page = show(GROUPS)
    assert (said(page), states(page)) == (
        "Nothing is selected.",
        ["none", "none", "disabled", "none"],
    )
    page.get_by_label("All of a").check()
    assert (ticked(page), states(page)) == (["1", "2"], ["all", "none", "disabled", "some"])
    page.get_by_label("one").uncheck()
    page.get_by_label("Newest first").check()
    assert (ticked(page), states(page)) == (["2"], ["some", "none", "disabled", "some"])
    page.get_by_label("All", exact=True).check()
    assert (ticked(page), states(page)) == (["1", "2", "4", "5"], ["all", "all", "disabled", "all"])
    page.get_by_label("All of b").uncheck()
    assert (ticked(page), states(page)) == (["1", "2"], ["all", "none", "disabled", "some"])


def test_number_and_size_are_said_as_long_as_the_size_is_known(show: Any) -> None:
    page = show(GROUPS)
    page.get_by_label("one").check()
    assert said(page) == "Selected: 1 (976.6 KB)"
    page.get_by_label("two").check()
    assert said(page) == "Selected: 2 (1.7 MB)"
    page.get_by_label("four").check()
    assert said(page) == "Selected: 3 (1.0 GB)"
    page.get_by_label("five").check()
    assert said(page) == "Selected: 4"
    page = show(
        "<form>{% zip_checkbox 1 size=size %}{% zip_selection %}</form>", "de", size=3 * 2**59
    )
    page.locator("[name=ids]").check()
    assert said(page) == "Ausgewählt: 1 (1.536,0 PB)"


@pytest.mark.parametrize("size", ["1.2 MB", "1,234"])
def test_a_size_that_is_no_number_is_not_known(show: Any, size: str) -> None:
    source = "<form>{% zip_checkbox 1 size=size %}{% zip_checkbox 2 size=2048 %}{% zip_selection %}"
    page = show(f"{source}</form>", size=size)
    page.locator("[value='2']").check()
    assert said(page) == "Selected: 1 (2.0 KB)"
    page.locator("[value='1']").check()
    assert said(page) == "Selected: 2"


def test_buttons_are_off_at_nothing_and_a_reset_leads_there(show: Any) -> None:
    page = show(GROUPS)
    buttons = page.locator("button")
    assert [button.is_disabled() for button in buttons.all()] == [True, True]
    page.get_by_label("two").check()
    assert [button.is_disabled() for button in buttons.all()] == [False, False]
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Nothing is selected.").wait_for()
    assert [button.is_disabled() for button in buttons.all()] == [True, True]
    assert (ticked(page), states(page)[0]) == ([], "none")


@pytest.mark.parametrize("kept", [True, False])
def test_ticks_that_a_browser_brings_back_are_counted(show: Any, kept: bool) -> None:
    page = show(GROUPS)
    page.get_by_label("All of a").check()
    if not kept:
        # Has the browser load the page again, and then tick what was ticked.
        page.evaluate("addEventListener('unload', () => {})")
    page.goto(f"{SITE}/other/")
    page.go_back(wait_until="commit")
    page.get_by_text("Selected: 2").wait_for()
    assert (said(page), states(page)[0]) == ("Selected: 2 (1.7 MB)", "all")


def test_boxes_that_are_elsewhere_on_the_page_count_too(show: Any) -> None:
    form = "<form id='f'>{% zip_select_all %}{% zip_selection %}</form>"
    page = show(form + "<label>{% zip_checkbox 1 size=1024 form='f' %} one</label>")
    page.get_by_label("one").check()
    assert (said(page), state(page, "Select all")) == ("Selected: 1 (1.0 KB)", "all")


def test_two_forms_of_a_page_count_their_own(show: Any) -> None:
    form = "<form>{% zip_checkbox 1 %}{% zip_checkbox 2 id='other' %}{% zip_selection %}</form>"
    page = show(form + form.replace("other", "another").replace("zip_checkbox 1", "zip_checkbox 3"))
    page.locator("#another").check()
    assert page.get_by_role("status").all_inner_texts() == ["Nothing is selected.", "Selected: 1"]


def test_a_form_that_comes_later_works_too(show: Any) -> None:
    page = show(GROUPS)
    page.evaluate("form => form.replaceWith(form.cloneNode(true))", page.query_selector("form"))
    page.get_by_label("one").check()
    assert said(page) == "Selected: 1 (976.6 KB)"


@pytest.mark.parametrize("title", ["שדה", "\u202eexe.jpg", "ملاحظات 7"])
def test_a_size_stays_beside_a_label_from_right_to_left(show: Any, title: str) -> None:
    page = show("{% zip_form '/a/' rows label='title' size='pk' %}", rows=[Book(pk=7, title=title)])
    label = page.locator("li label").bounding_box()
    size = page.locator("li small").bounding_box()
    assert size["x"] >= label["x"] + label["width"]


def test_a_whole_form_is_for_everybody(show: Any, axe: str) -> None:
    page = show("{% zip_form '/other/' rows %}", rows=books())
    page.locator("[name=ids]").first.check()
    assert findings(page, axe) == []


def test_a_whole_form_is_used_by_keyboard(show: Any) -> None:
    page = show("{% zip_form '/other/' rows method='get' %}", rows=books())
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert ticked(page) == ["1", "2"]
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert (ticked(page), said(page)) == (["2"], "Selected: 1")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # to "Clear"
    page.keyboard.press("Space")
    page.get_by_text("Nothing is selected.").wait_for()
    # The button is off now, and the focus isn't lost: the next one back is the last box.
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert ticked(page) == ["2"]
