"""The numbers of the format, by the names of PKWARE's APPNOTE 6.3.10. No behaviour.

Section numbers are the APPNOTE's unless another source is named.
"""

from __future__ import annotations

from typing import Final

#: Part of every entity tag. Raise it whenever the same members would become other bytes.
REVISION: Final = 1

# What a field can hold. A value above it needs Zip64 (4.3.9.2, 4.4.1.4).
MAX_16: Final = 0xFFFF
MAX_32: Final = 0xFFFFFFFF
MAX_64: Final = 0xFFFFFFFFFFFFFFFF

LOCAL_FILE_HEADER_SIGNATURE: Final = b"PK\x03\x04"  # 4.3.7
DATA_DESCRIPTOR_SIGNATURE: Final = b"PK\x07\x08"  # 4.3.9.3
CENTRAL_DIRECTORY_HEADER_SIGNATURE: Final = b"PK\x01\x02"  # 4.3.12
ZIP64_END_OF_CENTRAL_DIRECTORY_SIGNATURE: Final = b"PK\x06\x06"  # 4.3.14
ZIP64_END_OF_CENTRAL_DIRECTORY_LOCATOR_SIGNATURE: Final = b"PK\x06\x07"  # 4.3.15
END_OF_CENTRAL_DIRECTORY_SIGNATURE: Final = b"PK\x05\x06"  # 4.3.16

# 4.4.2.2: the host system is UNIX (3), which is what makes readers look for a mode in the
# external file attributes; the lower byte is the version of the specification.
VERSION_MADE_BY: Final = (3 << 8) | 45

# 4.4.3.2: version needed to extract.
VERSION_DEFAULT: Final = 20  # deflate, and directories
VERSION_ZIP64: Final = 45
VERSION_AES: Final = 51

# 4.4.4: general purpose bit flag.
FLAG_ENCRYPTED: Final = 1 << 0
FLAG_DATA_DESCRIPTOR: Final = 1 << 3
FLAG_UTF8: Final = 1 << 11

# 4.4.5: compression method.
METHOD_STORED: Final = 0
METHOD_DEFLATED: Final = 8
METHOD_AES: Final = 99  # 7.2.1 and WinZip's "AES Encryption Information"

# 4.5.2 and 4.6: extra field header IDs.
EXTRA_ZIP64: Final = 0x0001
EXTRA_EXTENDED_TIMESTAMP: Final = 0x5455  # "UT", Info-ZIP
EXTRA_AES: Final = 0x9901  # WinZip

# 4.4.15: the low byte of the external file attributes is MS-DOS's; the high 16 bits a UNIX mode.
MSDOS_DIRECTORY: Final = 0x10

# RFC 1951 §3.2.4: a stored block counts its bytes in 16 bits, behind a header of 5 bytes.
STORED_BLOCK_LENGTH: Final = 65535
STORED_BLOCK_HEADER_LENGTH: Final = 5
#: RFC 1951 §3.2.3: no deflate stream is shorter. One block without content has 10 bits.
MIN_DEFLATED_SIZE: Final = 2

# WinZip's AE-2 with AES-256.
AES_SALT_LENGTH: Final = 16
AES_KEY_LENGTH: Final = 32
AES_VERIFIER_LENGTH: Final = 2
AES_AUTHENTICATION_LENGTH: Final = 10
AES_PBKDF2_ITERATIONS: Final = 1000
#: In bytes. 7-Zip opens nothing with a longer one (kPasswordSizeMax in its WzAes.h).
AES_MAX_PASSWORD_LENGTH: Final = 99
#: What encryption adds to a member's compressed size, in bytes.
AES_OVERHEAD: Final = AES_SALT_LENGTH + AES_VERIFIER_LENGTH + AES_AUTHENTICATION_LENGTH
