"""The units: what systemd says of them, and how they get into place."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_lvr1.config import Access, load
from edge_lvr1.errors import NotFoundError, SettingsError
from edge_lvr1.systemd import units
from edge_lvr1.systemd.check import exposure, installed
from edge_lvr1.systemd.units import Choice, State, hidden, install, pieces

PROGRAM = Path("/usr/bin/env")  # any program that is there: verify looks for it
ALL = Choice(gpu=True, model_server=True, web=True)

analysed = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here"
)


def placed(root: Path, choice: Choice | None = None) -> Path:
    """An installation below a root; the folder of its units."""
    list(install(pieces(choice or Choice(), PROGRAM), root))
    return root / units.OURS / units.UNITS


@analysed
@pytest.mark.parametrize(
    ("choice", "most"),
    [
        (Choice(), 1.0),
        (Choice(gpu=True), 1.5),
        (Choice(jetson=True), 1.5),
        (Choice(model_server=True), 2.0),
    ],
    ids=["bare", "gpu", "jetson", "model-server"],
)
def test_service_is_hardly_exposed(tmp_path: Path, choice: Choice, most: float) -> None:
    level = exposure(placed(tmp_path, choice) / "edge-lvr1.service")

    if level is None:
        pytest.skip("this systemd-analyze knows no --offline")
    assert 0.0 < level <= most


@analysed
def test_web_proxy_is_hardly_exposed(tmp_path: Path) -> None:
    level = exposure(placed(tmp_path, ALL) / "edge-lvr1-web.service")

    assert level is None or 0.0 < level <= 1.0


@analysed
@pytest.mark.parametrize("choice", [ALL, Choice(jetson=True)], ids=["all", "jetson"])
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path, choice: Choice) -> None:
    folder = placed(tmp_path, choice)
    ours = sorted(folder.glob("edge-lvr1*.*e*"))
    names = [str(path) for path in ours if path.suffix in (".service", ".socket")]

    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    said = [line for line in told.stderr.splitlines() if "edge-lvr1" in line]
    # The proxy is a program of systemd's that a machine with systemd-analyze alone lacks.
    assert [line for line in said if "socket-proxyd" not in line] == []


def test_every_setting_of_the_units_is_spelt_as_a_setting(tmp_path: Path) -> None:
    folder = placed(tmp_path, ALL)

    for path in [*folder.glob("*.s*"), *folder.glob("*.d/*")]:
        for line in path.read_text().splitlines() if path.is_file() else ():
            assert re.fullmatch(r"(#.*|;.*|\[\w+\]|[A-Z][A-Za-z]*=.*|)", line), (path.name, line)


def test_users_of_the_units_are_those_of_the_settings(tmp_path: Path) -> None:
    folder = placed(tmp_path, ALL)
    users = (tmp_path / "etc/sysusers.d/edge-lvr1.conf").read_text()
    access = Access()

    assert access.group in users
    for name in (*access.ask, *access.ingest, *access.admin, *access.proxy_users):
        assert re.search(rf"^[ug] {name}\s", users, re.M), name
    assert f"SocketGroup={access.group}" in (folder / "edge-lvr1.socket").read_text()
    assert f"User={access.proxy_users[0]}" in (folder / "edge-lvr1-web.service").read_text()


def test_database_is_closed_to_the_group_that_may_only_ask(tmp_path: Path) -> None:
    text = (placed(tmp_path) / "edge-lvr1.service").read_text()

    assert "StateDirectoryMode=0700" in text
    assert "UMask=0077" in text
    assert "\nPrivateUsers=" not in text  # or nobody's user would be known


def test_program_is_that_of_the_installation(tmp_path: Path) -> None:
    folder = placed(tmp_path, ALL)

    assert (
        f"ExecStart={PROGRAM} run --config /etc/edge-lvr1.toml"
        in (folder / "edge-lvr1.service").read_text()
    )
    assert all(
        units.PROGRAM not in path.read_text() for path in folder.rglob("*") if path.is_file()
    )


def test_installed_settings_are_settings(tmp_path: Path) -> None:
    placed(tmp_path)
    file = tmp_path / "etc/edge-lvr1.toml"
    offered = file.read_text().replace("# watch", "watch").replace("# time", "time")
    offered = re.sub(r"^# (\[access\]|ask|ingest|admin)", r"\1", offered, flags=re.M)
    (tmp_path / "on.toml").write_text(offered)

    assert load({}, file).watch == ()
    assert load({}, tmp_path / "on.toml").watch == (Path("/srv/footage"),)


def test_installing_again_writes_only_what_is_older(tmp_path: Path) -> None:
    first = dict(install(pieces(Choice(), PROGRAM), tmp_path))
    again = dict(install(pieces(Choice(), PROGRAM), tmp_path))
    moved = {
        piece.place.name: state
        for piece, state in install(pieces(Choice(), Path("/usr/bin/true")), tmp_path)
    }

    assert set(first.values()) == {State.ABSENT}
    assert {state for piece, state in again.items() if not piece.kept} == {State.CURRENT}
    assert moved["edge-lvr1.service"] is State.OLDER
    assert moved["edge-lvr1.socket"] is State.CURRENT
    assert (
        "/usr/bin/true" in (tmp_path / units.OURS / units.UNITS / "edge-lvr1.service").read_text()
    )


def test_changed_file_is_left_alone_with_all_others_unless_forced(tmp_path: Path) -> None:
    folder = placed(tmp_path)
    service = folder / "edge-lvr1.service"
    service.write_text(service.read_text().replace("Nice=5", "Nice=9"))
    (folder / "edge-lvr1.socket").unlink()

    with pytest.raises(SettingsError, match=r"edge-lvr1\.service was changed .* --force"):
        list(install(pieces(Choice(), PROGRAM), tmp_path))
    untouched = "Nice=9" in service.read_text() and not (folder / "edge-lvr1.socket").exists()
    list(install(pieces(Choice(), PROGRAM), tmp_path, force=True))

    assert untouched
    assert "Nice=5" in service.read_text()


def test_masked_unit_and_somebodys_settings_stay(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/edge-lvr1.toml").write_text('watch = ["/mnt"]\n')
    folder = placed(tmp_path)
    (folder / "edge-lvr1.socket").unlink()
    (folder / "edge-lvr1.socket").symlink_to("/dev/null")

    with pytest.raises(SettingsError, match=r"edge-lvr1\.socket was changed"):
        list(install(pieces(Choice(), PROGRAM), tmp_path))

    assert (tmp_path / "etc/edge-lvr1.toml").read_text() == 'watch = ["/mnt"]\n'


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    told = list(install(pieces(ALL, PROGRAM), tmp_path, dry_run=True))

    assert len(told) == 11
    assert list(tmp_path.iterdir()) == []


def test_package_has_its_units_below_usr_lib(tmp_path: Path) -> None:
    list(install(pieces(Choice(web=True, vendor=True), Path("/usr/bin/edge-lvr1")), tmp_path))

    assert (tmp_path / "usr/lib/systemd/system/edge-lvr1.service").is_file()
    assert (tmp_path / "usr/lib/sysusers.d/edge-lvr1.conf").is_file()
    assert installed(tmp_path) == Choice(web=True, vendor=True)


def test_what_is_installed_is_seen_by_its_files(tmp_path: Path) -> None:
    placed(tmp_path, ALL)

    assert installed(tmp_path) == ALL


@pytest.mark.parametrize("path", ["/opt/a b/edge-lvr1", "/opt/$HOME/edge-lvr1", "/opt/%h/x"])
def test_program_whose_path_a_unit_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="cannot hold"):
        pieces(Choice(), Path(path))


def test_places_that_the_service_cannot_see_are_named(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/root/python")

    assert hidden(Path("/opt/x"), Path("/usr/bin/python3.99")) == []
    assert hidden(Path("/home/me/x"), link)[0] == Path("/home/me/x")
    assert link in hidden(link)


def test_program_of_no_installation_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(units.sys, "argv", ["-c"])

    with pytest.raises(NotFoundError, match="--program"):
        units.program_path()
