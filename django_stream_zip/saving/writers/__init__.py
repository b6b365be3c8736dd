"""How archives get into storages: one module for each kind of storage.

`writer` says what a writer has to offer, `table` which one is for which storage.
"""
