"""The files that an OpenStack Swift of one disk on one machine is made of."""

from __future__ import annotations

import getpass
from pathlib import Path

SERVERS = ("proxy", "account", "container", "object")

# In the order in which a request passes through them.
FILTERS = (
    "catch_errors",
    "gatekeeper",
    "proxy-logging",
    "listing_formats",
    "s3api",
    "tempauth",
    "copy",
    "slo",
    "dlo",
)
FILTER_OPTIONS = {
    "s3api": "location = us-east-1\ns3_acl = false\ncheck_bucket_owner = false\n",
    "tempauth": "user_test_tester = testing .admin\n",
}
PROGRAM = """
import sys
import eventlet  # before anything that it replaces
import swift.common.utils
swift.common.utils.SWIFT_CONF_FILE = "{folder}/swift.conf"
from swift.common.wsgi import run_wsgi
name = sys.argv[1]
sys.exit(run_wsgi(f"{folder}/{{name}}.conf", f"{{name}}-server"))
"""
RINGS = """
import swift.common.utils
swift.common.utils.SWIFT_CONF_FILE = "{folder}/swift.conf"
from swift.common.ring import RingBuilder
for name, port in {ports}:
    builder = RingBuilder(4, 1, 1)  # 16 partitions, one copy
    place = dict(ip="127.0.0.1", port=port, replication_ip="127.0.0.1", replication_port=port)
    builder.add_dev(dict(id=0, region=1, zone=1, weight=1.0, device="disk", meta="", **place))
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{{name}}.ring.gz")
"""


def write(folder: Path, ports: list[int]) -> None:
    """Write all of them into a folder, for servers at these ports."""
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "cache").mkdir()
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_prefix = tests\nswift_hash_path_suffix = tests\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    numbered = list(zip(SERVERS, ports, strict=True))
    for name, port in numbered:
        (folder / f"{name}.conf").write_text(_common(folder, port) + _pipeline(name))
    (folder / "run.py").write_text(PROGRAM.format(folder=folder))
    (folder / "rings.py").write_text(RINGS.format(folder=folder, ports=numbered[1:]))


def _common(folder: Path, port: int) -> str:
    return (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\n"
        f"user = {getpass.getuser()}\nswift_dir = {folder}\ndevices = {folder}/devices\n"
        f"mount_check = false\nfallocate_reserve = 0\nrecon_cache_path = {folder}/cache\n"
        f"log_address = {folder}/nobody\nlog_level = ERROR\n"
    )


def _pipeline(name: str) -> str:
    if name != "proxy":
        return (
            f"[pipeline:main]\npipeline = {name}-server\n"
            f"[app:{name}-server]\nuse = egg:swift#{name}\n"
        )
    filters = "".join(
        f"[filter:{each}]\nuse = egg:swift#{each.replace('-', '_')}\n{FILTER_OPTIONS.get(each, '')}"
        for each in FILTERS
    )
    return (
        f"[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n" + filters
    )
