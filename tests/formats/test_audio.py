"""Sounds: stored as they came, decoded when they are read."""

import io
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pyarrow
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from media import sound, waves

from dataset_assets.errors import DecodeError, DefinitionError, NotInstalled, SchemaError
from dataset_assets.formats import Audio, Format
from dataset_assets.formats.audio import _facts_of_wave, _values_of_wave
from dataset_assets.formats.decoded import Undecodable
from dataset_assets.testing import FormatTests
from dataset_assets.testing.formats import equal, written, written_and_opened


def encoded(kind: str, frames: int = 900, rate: int = 8000, channels: int = 1, seed: int = 0) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, waves(frames, channels, seed), rate, format=kind)
    return out.getvalue()


KINDS = [sound(900), encoded("FLAC"), encoded("OGG"), encoded("MP3", 2400), encoded("AIFF"), encoded("WAVEX")]


def refused(format: Audio, values: list[Any], folder: Path) -> str:
    with pytest.raises(SchemaError) as caught:
        written(format, [values], folder)
    return str(caught.value)


class SoundTests(FormatTests):
    def same(self, read: Any, written: Any) -> bool:
        if isinstance(read, bytes):
            return read == written
        expected = soundfile.read(io.BytesIO(written), dtype="float32", always_2d=True)[0]
        return read.dtype == expected.dtype and np.array_equal(read, expected)

    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        with pyarrow.OSFile(str(path)) as file:
            found: list[bytes] = pyarrow.ipc.open_file(file).read_all().column("value").to_pylist()
        return found


class TestSoundsOfAllKinds(SoundTests):
    @pytest.fixture
    def format(self) -> Format:
        return Audio()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [sound(3000), encoded("FLAC", 2000), encoded("OGG", 400), sound(3001, seed=2), encoded("AIFF", 60)]


class TestStereo(SoundTests):
    @pytest.fixture
    def format(self) -> Format:
        return Audio(44100, 2, check="header", most_values=10_000)

    @pytest.fixture
    def values(self) -> list[Any]:
        return [sound(1500, 44100, 2, seed) for seed in range(6)]


def test_a_sound_is_float32_of_frames_and_channels_from_minus_one_to_one(tmp_path: Path) -> None:
    column = written_and_opened(Audio(), [[sound(80, channels=2), sound(90, channels=2)]], tmp_path)
    assert (column[0].dtype, column[0].shape, column[1].shape) == (np.float32, (80, 2), (90, 2))
    np.testing.assert_array_equal(column[0], waves(80, 2) / np.float32(2**15))
    assert column.kind.rate == 8000  # type: ignore[attr-defined]
    assert column.facts(1) == ("WAV", 8000, 2, 90)  # type: ignore[attr-defined]
    assert column.facts(1).seconds == 90 / 8000  # type: ignore[attr-defined]


def test_the_rate_and_the_channels_are_kept_with_the_stream(tmp_path: Path) -> None:
    assert written(Audio(), [KINDS], tmp_path)[1] == {"rate": 8000, "channels": 1}


def test_values_are_golden(tmp_path: Path) -> None:
    column = written_and_opened(Audio(), [[sound(40, bits=bits) for bits in (8, 16, 24, 32)]], tmp_path)
    found = [sha256(f"{v.dtype}{v.shape}".encode() + v.tobytes()).hexdigest()[:16] for v in column.slice(0, 4)]
    assert found == ["5ba6c39e62ad32af", "e9e26e00a2eb1967", "e9e26e00a2eb1967", "e9e26e00a2eb1967"]


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_standard_library_finds_the_same_values_in_plain_wav(bits: int, channels: int) -> None:
    data = sound(50, channels=channels, bits=bits)
    assert equal(_values_of_wave(data), Audio().decode(data))
    assert _facts_of_wave(data) == Audio().facts(data)


def test_sounds_of_one_length_are_one_array_and_others_a_list(tmp_path: Path) -> None:
    column = written_and_opened(Audio(), [[sound(50), sound(50, seed=1), sound(51)]], tmp_path)
    assert column.slice(0, 2).shape == (2, 50, 1)
    assert isinstance(column.slice(0, 3), list)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "a damaged sound, or not a sound"),
        (b"<html>Sign in</html>", "a damaged sound, or not a sound"),
        (encoded("FLAC")[:-300], "sound"),
        (encoded("OGG")[:60], "no whole page of an Ogg file at byte 58"),
        (sound(rate=16000), "a sound of rate 16000, expected 8000"),
        (sound(channels=2), "a sound of channels 2, expected 1"),
        (encoded("AU"), "kind AU"),
    ],
    ids=["empty", "html", "cut flac", "cut ogg", "rate", "channels", "kind"],
)
@pytest.mark.parametrize("together", [True, False])
def test_what_is_no_such_sound_is_an_error_when_it_is_written(
    value: bytes, why: str, together: bool, tmp_path: Path
) -> None:
    values = [sound(), sound(), value]
    with pytest.raises(SchemaError) as caught:
        written(Audio(), [values] if together else [[one] for one in values], tmp_path)
    assert "sample 2" in str(caught.value) and why in str(caught.value)


def test_a_sound_of_more_values_than_allowed_is_never_decoded(tmp_path: Path) -> None:
    assert "900 frames of 1 values, more than most_values=899" in refused(
        Audio(most_values=899), [sound(900)], tmp_path
    )
    column = written_and_opened(Audio(check="nothing", most_values=899), [[sound(900)]], tmp_path)
    with pytest.raises(DecodeError, match="row 0: a sound of 900 frames"):
        column[0]


@pytest.mark.parametrize("bad", [{"rate": 0}, {"rate": 8000.0}, {"channels": -1}, {"check": "all"}])
def test_a_definition_that_cannot_be_is_refused(bad: Any) -> None:
    with pytest.raises(DefinitionError):
        Audio(**bad)


@given(st.sampled_from(KINDS), st.data())
@settings(deadline=None, max_examples=200)
def test_whatever_happens_to_the_bytes_it_is_a_sound_or_undecodable(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        broken[draw.draw(st.integers(0, min(len(data) - 1, 200)))] = draw.draw(st.integers(0, 255))
    cut = bytes(broken[: draw.draw(st.integers(0, len(data)))]) if draw.draw(st.booleans()) else bytes(broken)
    format = Audio(most_values=1 << 18)
    for decode in (format.decode, _as_plain_wave(format)) if cut[:4] == b"RIFF" else (format.decode,):
        try:
            found = decode(memoryview(cut))
        except (Undecodable, NotInstalled) as error:
            assert str(error)
        else:
            assert found.dtype == np.float32 and found.ndim == 2


def _as_plain_wave(format: Audio) -> Any:
    def decode(data: Any) -> Any:
        format._checked(_facts_of_wave(data))
        return _values_of_wave(data)

    return decode


def test_without_soundfile_plain_wav_is_read_and_the_error_for_others_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "wav").write_bytes(sound())
    (tmp_path / "flac").write_bytes(encoded("FLAC"))
    code = (
        "import sys; sys.modules['soundfile'] = None\n"
        "from dataset_assets import Audio\n"
        "print(Audio().decode(open('wav', 'rb').read()).shape)\n"
        "Audio().decode(open('flac', 'rb').read())"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "(80, 1)" in found.stdout
    assert "NotInstalled" in found.stderr and "pip install 'dataset_assets[audio]'" in found.stderr
