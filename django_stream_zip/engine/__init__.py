"""The ZIP writer: members in, bytes out. No Django, no files, no clock.

`streams` (drivers) → `archive` (all members) → `entry` (one member) → `bodies`, `aes`, `records`
→ `methods`, `spec`, `errors`.
"""
