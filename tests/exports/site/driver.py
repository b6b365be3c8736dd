"""Does in the site what comes from standard input, line by line, and writes what that gives."""

from __future__ import annotations

import json
import sys
import traceback
from hashlib import sha256
from typing import Any

import django


def main() -> None:
    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from django_stream_zip import exports
    from django_stream_zip.exports.finishing import cancel
    from django_stream_zip.saving import open_zip
    from tests.exports.site.zip_exports import folder

    call_command("migrate", verbosity=0)
    ada = User.objects.get_or_create(username="ada")[0]
    grace = User.objects.get_or_create(username="grace")[0]

    def request(**options: Any) -> str:
        return str(exports.request_zip("folder", **{"owner": ada, **options}).pk)

    def row(pk: str) -> dict[str, Any]:
        found = exports.ZipExport.objects.filter(pk=pk).values().get()
        return {name: str(value) for name, value in found.items()}

    def streamed() -> str:
        digest = sha256()
        with open_zip(folder()) as archive:
            while block := archive.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def sweep() -> list[str]:
        return [action.what for action in exports.sweep_exports()]

    names = {**locals(), **vars(exports), "ZipExport": exports.ZipExport, "settings": settings}
    names |= {"cancel": cancel, "grace": grace}
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        try:
            answer = eval(json.loads(line), names)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


main()
