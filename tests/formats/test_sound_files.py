"""Sounds that end early, or whose sizes lie, written by other programs: refused, or read whole."""

import io
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from media import sound, waves

from dataset_assets.errors import NotInstalled, SchemaError
from dataset_assets.formats import Audio
from dataset_assets.formats import audio as audio_module
from dataset_assets.formats.decoded import Undecodable
from dataset_assets.formats.sound_files import whole_sound
from dataset_assets.testing.formats import written, written_and_opened


def encoded(kind: str, subtype: str | None = None, frames: int = 3000, channels: int = 2) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, waves(frames, channels), 8000, subtype, format=kind)
    return out.getvalue()


def by_wave(frames: int = 3000) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(waves(frames).tobytes())
    return out.getvalue()


WHOLE = {
    "wave": by_wave(),
    "WAV 16": encoded("WAV", "PCM_16"),
    "WAV 24": encoded("WAV", "PCM_24", 1001, 1),
    "WAV float": encoded("WAV", "FLOAT"),
    "WAV ADPCM": encoded("WAV", "IMA_ADPCM", channels=1),
    "WAVEX": encoded("WAVEX", "PCM_24"),
    "FLAC": encoded("FLAC"),
    "Vorbis": encoded("OGG", "VORBIS"),
    "Opus": encoded("OGG", "OPUS", 3000, 1),
    "AIFF": encoded("AIFF", "PCM_16"),
}


@pytest.fixture(params=["with soundfile", "without"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "without":
        monkeypatch.setattr(audio_module, "_soundfile", lambda: None)
    return str(request.param)


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_sounds_are_read_to_their_end(kind: str) -> None:
    data = memoryview(WHOLE[kind])
    expected = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]
    assert np.array_equal(Audio().decode(data), expected) and whole_sound(data) is data


# T8: one value of many that is not whole


@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1), st.booleans())
@settings(deadline=None, max_examples=80)
@example("WAV ADPCM", 0.037, False)
def test_a_sound_that_is_cut_is_refused(kind: str, part: float, header: bool) -> None:
    data = WHOLE[kind]
    cut = memoryview(data)[: int(len(data) * part)]
    # The last byte of some files is padding, which may be missing.
    assume(len(cut) < len(data) - 1)
    with pytest.raises(Undecodable):
        Audio().facts(cut) if header and kind != "FLAC" else Audio().decode(cut)


@given(st.sampled_from(["FLAC", "Vorbis", "Opus"]), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
@settings(deadline=None, max_examples=60)
def test_a_flipped_bit_in_a_file_with_checksums_is_found(kind: str, place: float, bit: int) -> None:
    data = bytearray(WHOLE[kind])
    data[int(place * len(data))] ^= 1 << bit
    expected = soundfile.read(io.BytesIO(WHOLE[kind]), dtype="float32", always_2d=True)[0]
    try:
        found = Audio().decode(memoryview(data))
    except Undecodable:
        return
    assert np.array_equal(found, expected)


@given(st.sampled_from(["wave", "WAV 16", "WAV 24", "WAVEX", "AIFF"]), st.integers(0, 31))
@settings(deadline=None, max_examples=60)
def test_a_data_chunk_of_a_wrong_size_is_found(kind: str, bit: int) -> None:
    """But for a size of 0, which programs write that do not know it; then the sound reaches to the end."""
    data = bytearray(WHOLE[kind])
    order, name = (">", b"SSND") if kind == "AIFF" else ("<", b"data")
    at = data.index(name) + 4
    size = struct.unpack_from(f"{order}I", data, at)[0] ^ 1 << bit
    struct.pack_into(f"{order}I", data, at, size)
    expected = soundfile.read(io.BytesIO(WHOLE[kind]), dtype="float32", always_2d=True)[0]
    try:
        found = Audio().decode(memoryview(data))
    except Undecodable:
        return
    # Bit 0 makes an odd size, whose padding is the byte that was cut.
    assert np.array_equal(found, expected[: len(found)]) and len(found) >= len(expected) - (bit == 0)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
@pytest.mark.parametrize("riff", [None, 0, 0xFFFFFFFF])
def test_a_wave_of_unknown_length_reaches_to_its_end(size: int, riff: int | None, decoder: str) -> None:
    data = bytearray(by_wave())
    struct.pack_into("<I", data, 40, size)
    if riff is not None:
        struct.pack_into("<I", data, 4, riff)
    assert np.array_equal(Audio().decode(memoryview(data)), Audio().decode(by_wave()))
    with pytest.raises(Undecodable, match="in the middle of a frame: 1 of 2 bytes"):
        Audio().decode(memoryview(data)[:-1])


@pytest.mark.parametrize("frames", [0, 1, 3])
def test_chunks_after_the_data_and_bytes_after_the_file_are_no_damage(frames: int, decoder: str) -> None:
    plain = sound(frames, bits=8)
    listed = b"LIST" + struct.pack("<I", 4) + b"INFO"
    padded = plain + bytes(len(plain) % 2)
    data = padded[:4] + struct.pack("<I", len(padded) + len(listed) - 8) + padded[8:] + listed
    # Some programs leave out the byte after a chunk of odd size.
    close = plain[:4] + struct.pack("<I", len(plain) + len(listed) - 8) + plain[8:] + listed
    for whole in (data, data + b"TAG" + bytes(40), close):
        assert len(Audio().decode(memoryview(whole))) == frames


def test_a_cut_wave_is_refused_whatever_is_installed(decoder: str, tmp_path: Path) -> None:
    for check in ("decode", "header"):
        with pytest.raises(SchemaError, match="sample 1: a sound that ends early: its file has 2956 of the 6000 bytes"):
            written(Audio(check=check), [[by_wave(), by_wave()[:3000]]], tmp_path / check)  # type: ignore[arg-type]


def test_what_needs_soundfile_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audio_module, "_soundfile", lambda: None)
    for k, kind in enumerate(("FLAC", "Vorbis", "WAV float", "AIFF")):
        with pytest.raises(NotInstalled, match="dataset_assets\\[audio\\]"):
            written(Audio(), [[WHOLE[kind]]], tmp_path / str(k))
    column: Any = written_and_opened(Audio(check="nothing"), [[WHOLE["FLAC"]]], tmp_path / "stored")
    with pytest.raises(NotInstalled):
        column[0]
