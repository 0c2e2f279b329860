"""Sounds, stored as the files they came in and decoded when they are read.

They are decoded by soundfile (libsndfile); plain WAV files also without it, by the standard library.
"""

import functools
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, Sequence

import numpy as np

from dataset_assets.core.limits import too_large
from dataset_assets.errors import DefinitionError, UsageError
from dataset_assets.formats.arrow import ArrowWriter
from dataset_assets.formats.decoded import (
    Check,
    Decoded,
    DecodedColumn,
    Undecodable,
    checked_check,
    checked_most,
    encoded_column,
    encoded_writer,
)
from dataset_assets.formats.format import FILE_BYTES, Parts

KINDS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3", "AIFF")
MOST_VALUES = 1 << 27


class Sound(NamedTuple):
    """What the head of a sound's file says: its kind, its rate in Hz, its channels and its length in frames."""

    kind: str
    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.frames / self.rate

    def __str__(self) -> str:
        channels = f"{self.channels} channel{'s' if self.channels > 1 else ''}"
        return f"{self.kind}, {self.rate} Hz, {channels}, {self.seconds:.2f} s"


@dataclass(frozen=True)
class Audio:
    """A value is the bytes of a sound's file when written, a float32 array (frames, channels) when read.

    Values are from -1 to 1, whatever the file's own type. All sounds of a stream have one `rate` (frames a second, Hz)
    and one number of `channels`, those of the first where they are not declared; they are kept with the stream, and
    `column.kind.rate` is the rate. Nothing is resampled: do it in the split function.

    A value that is no sound, or has another rate, is a `SchemaError` when it is written. `check="header"` looks at the
    head only, "nothing" keeps whatever comes. More values than `most_values`, or more bytes of them than the setting
    `max_value_bytes`, are never decoded.
    """

    rate: int | None = None
    channels: int | None = None
    check: Check = "decode"
    most_values: int = MOST_VALUES

    name: ClassVar[str] = "audio"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for field, value in (("rate", self.rate), ("channels", self.channels)):
            if value is not None and (type(value) is not int or value < 1):
                raise DefinitionError(f"{field}={value!r} of a sound is not a number of at least 1.")
        checked_most("most_values", self.most_values)
        checked_check(self.check)

    def parameters(self) -> dict[str, Any]:
        """Return the declared fields as JSON."""
        fields = {"rate": self.rate, "channels": self.channels}
        found: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        if self.check != "decode":
            found["check"] = self.check
        if self.most_values != MOST_VALUES:
            found["most_values"] = self.most_values
        return found

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return encoded_writer(self, Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> DecodedColumn:
        """Open the files; a sound is decoded when it is asked for."""
        return encoded_column(self, opened)

    def resolved(self, found: set[Sound]) -> dict[str, Any]:
        """Return the parameters, with the rate and the channels of all sounds."""
        return (self.like(next(iter(found))) if found else self).parameters()

    def like(self, first: Sound) -> "Audio":
        """Return the format of a stream that begins with this sound."""
        return Audio(self.rate or first.rate, self.channels or first.channels, self.check, self.most_values)

    def facts(self, data: Any) -> Sound:
        """Return what the head of a sound says."""
        soundfile = _soundfile()
        if soundfile is None:
            return self._checked(_facts_of_wave(data))
        with _opened(soundfile, data) as file:
            return self._checked(_facts(file))

    def decode(self, data: Any, into: Decoded | None = None) -> Decoded:
        """Return the sound's values."""
        soundfile = _soundfile()
        if soundfile is None:
            found = self._checked(_facts_of_wave(data))
            values = _values_of_wave(data)
        else:
            with _opened(soundfile, data) as file:
                found = self._checked(_facts(file))
                values = _values(file)
        if len(values) != found.frames:
            raise Undecodable(f"a sound that ends after {len(values)} of {found.frames} frames")
        if into is None:
            return values
        into[...] = values
        return into

    def _checked(self, found: Sound) -> Sound:
        if found.frames * found.channels > self.most_values:
            raise Undecodable(
                f"a sound of {found.frames} frames of {found.channels} values, more than the {self.most_values} that "
                "are allowed by most_values"
            )
        if why := too_large(4 * found.frames * found.channels):
            raise Undecodable(f"a sound of {found.frames} frames of {found.channels} values, {why}")
        for what, declared, own in (("rate", self.rate, found.rate), ("channels", self.channels, found.channels)):
            if declared is not None and declared != own:
                raise Undecodable(f"a sound of {what} {own}, expected {declared}")
        return found


class _Readable(io.BytesIO):
    """Bytes as a file; a place before their beginning, to which damaged ones lead, is where it was."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:  # would be printed by C, which cannot raise it
            return self.tell()


@functools.cache
def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: without libsndfile
        return None
    return soundfile


def _facts(file: Any) -> Sound:
    return Sound(file.format, file.samplerate, file.channels, file.frames)


def _values(file: Any) -> Decoded:
    try:
        values: Decoded = file.read(dtype="float32", always_2d=True)
    except Exception as error:  # a decoder may say anything of bytes that may be anything
        raise _damaged(error) from error
    return values


def _opened(soundfile: Any, data: Any) -> Any:
    try:
        file = soundfile.SoundFile(_Readable(data))
    except Exception as error:
        raise _damaged(error) from error
    if file.format not in KINDS:
        file.close()
        raise Undecodable(f"a sound of kind {file.format}, which is none of {', '.join(KINDS)}")
    return file


def _facts_of_wave(data: Any) -> Sound:
    try:
        with _wave(data) as file:
            found = Sound("WAV", file.getframerate(), file.getnchannels(), file.getnframes())
            if file.getsampwidth() > 4 or min(found.rate, found.channels) < 1:
                raise ValueError("its rate, its channels or the bytes of its values cannot be")
    except (wave.Error, EOFError, ValueError, RuntimeError) as error:
        raise _damaged(error) from error
    return found


def _values_of_wave(data: Any) -> Decoded:
    """Return the values of a file whose facts were looked at."""
    with _wave(data) as file:
        width, channels = file.getsampwidth(), file.getnchannels()
        read = file.readframes(file.getnframes())
    whole = read[: len(read) // (width * channels) * width * channels]
    if width == 1:  # the only one without a sign
        values = np.frombuffer(whole, np.uint8).astype(np.float32) - np.float32(128)
    elif width == 3:
        wide = np.zeros((len(whole) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(whole, np.uint8).reshape(-1, 3)
        values = (wide.view("<i4") >> 8).astype(np.float32)
    else:
        values = np.frombuffer(whole, f"<i{width}").astype(np.float32)
    return (values / np.float32(1 << (8 * width - 1))).reshape(-1, channels)


def _wave(data: Any) -> Any:
    try:
        return wave.open(_Readable(data))
    except wave.Error as error:
        if bytes(data[:4]) == b"RIFF" and "unknown format" not in str(error):
            raise
        raise UsageError(
            "Sounds that are no plain WAV are decoded by soundfile, which is not installed. Run: "
            "pip install 'dataset_assets[audio]'"
        ) from error


def _damaged(error: object) -> Undecodable:
    return Undecodable(f"a sound that is damaged, or none ({' '.join(str(error).split()) or type(error).__name__})")
