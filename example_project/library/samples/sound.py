"""Recordings for the samples: bird calls over a little wind, as WAV."""

from __future__ import annotations

import math
import sys
import wave
from array import array
from itertools import pairwise
from random import Random
from typing import BinaryIO

RATE = 44_100
LOOP_SECONDS = 4


def write_recording(stream: BinaryIO, seed: str, seconds: int) -> None:
    """A recording in stereo: some seconds are computed, then repeated, so that it is quick."""
    frames = loop(Random(seed))
    second = RATE * 4
    with wave.open(stream, "wb") as recording:
        recording.setnchannels(2)
        recording.setsampwidth(2)
        recording.setframerate(RATE)
        recording.setnframes(seconds * RATE)
        for start in range(0, seconds, LOOP_SECONDS):
            recording.writeframesraw(frames[: min(LOOP_SECONDS, seconds - start) * second])


def loop(random: Random) -> bytes:
    """The frames that are repeated: wind everywhere, and a few calls."""
    left = wind(random, RATE * LOOP_SECONDS)
    for _ in range(random.randint(3, 6)):
        start = random.randrange(0, len(left) - RATE)
        add_call(left, start, random.uniform(1_800, 3_600), random.uniform(0.2, 0.5))
    # The right ear hears the same a moment later.
    delay = RATE // 2_000
    right = left[-delay:] + left[:-delay]
    both = array("h", bytes(4 * len(left)))
    both[0::2], both[1::2] = left, right
    if sys.byteorder == "big":
        both.byteswap()
    return both.tobytes()


def wind(random: Random, length: int) -> array[int]:
    """A quiet rush: noise, each point softened with the one before it."""
    noise = random.randbytes(length + 1)
    return array("h", [a + b - 255 for a, b in pairwise(noise)])


def add_call(samples: array[int], start: int, pitch: float, seconds: float) -> None:
    """One call of a bird: a tone that slides upwards, and fades in and out."""
    length = int(seconds * RATE)
    for step in range(length):
        part = step / length
        turns = pitch * (1 + 0.25 * part) * step / RATE
        loudness = 9_000 * math.sin(math.pi * part)
        samples[start + step] += int(loudness * math.sin(math.tau * turns))
