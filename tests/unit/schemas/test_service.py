from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.service import ServiceSettings
from schemas.settings import load_settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_certificate(host: str):
    assert ServiceSettings(host=host).on_loopback


@pytest.mark.parametrize("host", ["::", "192.168.1.5", "sereno.example.org"])
def test_beyond_loopback_a_certificate_is_wanted_unless_told(tmp_path: Path, host: str):
    (tmp_path / "sereno.yaml").write_text(f"service:\n  host: '{host}'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 1: `service`.*tokens would pass in the clear"):
        load_settings(tmp_path, environ={})
    told = load_settings(tmp_path, environ={"SERENO_SERVICE__PLAIN_HTTP": "true"}).settings.service
    assert not told.on_loopback
    by_tls = {"SERENO_SERVICE__CERTIFICATE": "c.pem", "SERENO_SERVICE__CERTIFICATE_KEY": "k.pem"}
    assert load_settings(tmp_path, environ=by_tls).settings.service.certificate == "c.pem"


def test_a_certificate_goes_with_its_key():
    with pytest.raises(ValueError, match="go together"):
        ServiceSettings(certificate="c.pem")
