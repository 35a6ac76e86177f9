"""What of an address may be shown."""

import pytest

from roommood.camera_node.sources.address import redacted
from roommood.camera_node.sources.open import open_source
from roommood.shared.errors import SourceError


def test_a_stream_address_is_shown_without_its_secrets() -> None:
    assert redacted("rtsp://me:pw@cam:554/live?token=x") == "rtsp://cam:554/live"
    assert "secret" not in open_source("http://me:secret@cam/v?key=secret").description
    with pytest.raises(SourceError) as caught:
        open_source("ftp://me:secret@cam/v")
    assert "secret" not in str(caught.value)
