"""Quantities as people write them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from headwater.manifests import quantities
from headwater.manifests.quantities import seconds, size_bytes


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("10m", 600), ("8h", 28800), ("2d", 172800)]
)
def test_durations_are_seconds(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("8GiB", 8 * 1024**3), ("500MB", 500_000_000), ("512B", 512), ("1kB", 1000), ("2KiB", 2048)],
)
def test_sizes_are_bytes(text, value):
    assert TypeAdapter(quantities.ByteSize).validate_python(text) == text
    assert size_bytes(text) == value


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("Duration", "10"),
        ("Duration", "0s"),
        ("Duration", "10m\n"),
        ("Duration", "\N{ARABIC-INDIC DIGIT ONE}m"),
        ("ByteSize", "8 GiB"),
        ("ByteSize", "8G"),
        ("Label", "Shop"),
        ("Label", "-shop"),
        ("Label", "shop\n"),
        ("Label", "s" * 64),
        ("NodeName", "1wn"),
        ("NodeName", "wn-"),
        ("ParameterName", "a:b"),
        ("Port", "0/tcp"),
        ("Port", "65536/tcp"),
        ("Port", "22"),
        ("CountOrPercent", "101%"),
        ("CountOrPercent", -1),
        ("CountOrPercent", True),
        ("Package", "-y"),
        ("PublicKey", "ssh-ed25519"),
        ("Line", "two\nlines"),
    ],
)
def test_other_forms_are_refused(form, text):
    with pytest.raises(ValidationError):
        TypeAdapter(getattr(quantities, form)).validate_python(text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("Label", "a"),
        ("Label", "s" * 63),
        ("ParameterName", "client.hostname"),
        ("Port", "65535/udp"),
        ("CountOrPercent", "100%"),
        ("CountOrPercent", 0),
        ("Package", "libstdc++6"),
        ("PublicKey", "ssh-ed25519 AAAAC3Nza operator@example"),
    ],
)
def test_right_forms_stay_as_written(form, text):
    assert TypeAdapter(getattr(quantities, form)).validate_python(text) == text
