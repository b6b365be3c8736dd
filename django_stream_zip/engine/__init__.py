"""The ZIP writer: members in, bytes out. No Django, no files, no clock.

`streams` (drivers) → `archive` (all members) → `entry` (one member) → `encoders` (its data), `aes`,
`layout` and `records` (its headers) → `methods`, `spec`, `errors`.
"""
