from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from anvil_ctl.errors import AnvilError
from anvil_ctl.images.debian import Mirrors, host_mirrors, judge, mirrors_in, source
from tests.unit.images.fakes import FRESH, FakeHost

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FORKY = "Suite: testing\nCodename: forky\nValid-Until: {}\n"


def _expiring(moment: datetime) -> str:
    return FORKY.format(moment.strftime("%a, %d %b %Y %H:%M:%S UTC"))


def test_the_mirror_is_the_hosts_own() -> None:
    targets = [
        "Debian|bookworm|main|http://mirror.test/debian/",
        "Debian|bookworm-updates|main|http://mirror.test/debian/",
        "Debian|bookworm-security|main|http://mirror.test/debian-security/",
        "Node|nodistro|main|https://other.test/node/",
    ]

    assert mirrors_in(targets, "bookworm") == Mirrors(
        "http://mirror.test/debian", "http://mirror.test/debian-security"
    )


def test_before_the_first_apt_update_the_codename_tells_which_mirror_is_debians() -> None:
    targets = [
        "|cloud-sdk-bookworm|main|https://other.test/apt/",
        "|bookworm|stable|https://docker.test/debian/",
        "|bookworm-security|main|http://mirror.test/debian-security/",
        "|bookworm|main|http://mirror.test/debian/",
    ]

    assert mirrors_in(targets, "bookworm") == Mirrors(
        "http://mirror.test/debian", "http://mirror.test/debian-security"
    )


@pytest.mark.parametrize(
    "targets",
    [
        "Ubuntu|noble|main|http://mirror.test/ubuntu/",
        "Debian|bookworm|main|file:/srv/debian/",
        "Debian|bookworm|contrib|http://mirror.test/debian/",
        "|noble|main|http://mirror.test/ubuntu/",
        "nonsense",
        "",
    ],
)
def test_what_is_no_debian_mirror_for_a_container_is_not_taken_for_one(targets: str) -> None:
    host = FakeHost(targets=targets, os_release="ID=ubuntu\nVERSION_CODENAME=noble\n")

    assert host_mirrors(host) is None


def test_a_host_without_apt_has_no_mirror() -> None:
    assert host_mirrors(FakeHost(commands=set())) is None


def test_a_named_mirror_wins() -> None:
    host = FakeHost(mirror_override="http://named.test/debian/")

    assert host_mirrors(host) == Mirrors("http://named.test/debian")


def test_a_release_without_an_end_is_always_fresh() -> None:
    found = judge("http://m", "trixie", FRESH, NOW)

    assert found.check_valid_until
    assert found.warning == ""
    assert found.line == "deb http://m trixie main"


def test_a_release_that_is_still_valid_is_fresh() -> None:
    assert judge("http://m", "forky", _expiring(NOW + timedelta(hours=1)), NOW).check_valid_until


def test_a_stale_release_is_used_without_its_date_and_with_a_warning() -> None:
    found = judge("http://m", "forky", _expiring(NOW - timedelta(days=16, hours=2)), NOW)

    assert found.line == "deb [check-valid-until=no] http://m forky main"
    assert "forky expired 16 days ago" in found.warning
    assert "signatures are verified, freshness is not" in found.warning


def test_sixty_days_stale_is_the_limit() -> None:
    assert judge("http://m", "forky", _expiring(NOW - timedelta(days=60)), NOW).warning

    with pytest.raises(AnvilError, match="expired 61 days ago") as caught:
        judge("http://m", "forky", _expiring(NOW - timedelta(days=61)), NOW)
    assert "ANVIL_DEBIAN_MIRROR" in caught.value.hint


def test_an_error_page_is_not_taken_for_a_fresh_release() -> None:
    with pytest.raises(AnvilError, match="does not serve a Debian suite forky"):
        judge("http://m", "forky", "<html>welcome to the hotel</html>", NOW)


def test_a_mirror_is_asked_for_the_suites_own_index() -> None:
    host = FakeHost(pages={"http://m/debian/dists/trixie/InRelease": FRESH})

    assert source(host, "http://m/debian", "trixie", NOW).suite == "trixie"
    with pytest.raises(AnvilError, match="cannot read"):
        source(host, "http://m/debian", "forky", NOW)
