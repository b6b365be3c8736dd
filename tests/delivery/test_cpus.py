"""How many CPUs there are for a process, as affinity and control groups say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from django_stream_zip.delivery.cpus import available_cpus, cpu_limiter


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)


def files(root: Path, **contents: str) -> Path:
    for name, content in contents.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


OWN = {"proc__self__cgroup": "0::/a/b\n"}
GROUPS = "sys__fs__cgroup__"


@pytest.mark.parametrize(
    ("contents", "cpus"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({**OWN, f"{GROUPS}a__b__cpu_dot_max": "max 100000\n"}, 8, id="no limit"),
        pytest.param({**OWN, f"{GROUPS}a__b__cpu_dot_max": "200000 100000\n"}, 2, id="two"),
        pytest.param(
            {**OWN, f"{GROUPS}a__b__cpu_dot_max": "150000 100000\n"}, 2, id="one and a half"
        ),
        pytest.param({**OWN, f"{GROUPS}a__b__cpu_dot_max": "10000 100000\n"}, 1, id="a tenth"),
        pytest.param(
            {**OWN, f"{GROUPS}a__b__cpu_dot_max": "1600000 100000\n"}, 8, id="more than all"
        ),
        pytest.param(
            {**OWN, f"{GROUPS}a__cpu_dot_max": "300000 100000\n"}, 3, id="of the group above"
        ),
        pytest.param(
            {"proc__self__cgroup": "0::/\n", f"{GROUPS}cpu_dot_max": "400000 100000\n"},
            4,
            id="in a container",
        ),
        pytest.param(
            {
                "proc__self__cgroup": "3:cpu,cpuacct:/\n",
                f"{GROUPS}cpu__cpu_dot_cfs_quota_us": "200000\n",
                f"{GROUPS}cpu__cpu_dot_cfs_period_us": "100000\n",
            },
            2,
            id="version 1",
        ),
        pytest.param(
            {
                f"{GROUPS}cpu__cpu_dot_cfs_quota_us": "-1\n",
                f"{GROUPS}cpu__cpu_dot_cfs_period_us": "100000\n",
            },
            8,
            id="version 1 without a limit",
        ),
        pytest.param({**OWN, f"{GROUPS}a__b__cpu_dot_max": "what\n"}, 8, id="nonsense"),
    ],
)
def test_a_container_has_as_many_as_its_quota_allows(
    tmp_path: Path, contents: dict[str, str], cpus: int
) -> None:
    assert available_cpus(files(tmp_path, **contents)) == cpus


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="it needs Linux")
def test_a_process_that_is_bound_to_some_has_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5, 7})
    assert available_cpus(tmp_path) == 3


def test_there_is_one_limiter_for_all_downloads() -> None:
    assert cpu_limiter() is cpu_limiter()
    with cpu_limiter():
        pass
