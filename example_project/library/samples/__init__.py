"""The sample library that `manage.py demo` fills the example with.

`catalogue.csv` lists the files below `files/`, and the name, title and date that each has in the
library. They were made for this project. One large file is generated when it is needed.
"""

from __future__ import annotations
