"""TensorFlow's notes about absent GPUs are kept back, everything else is not; needs no TensorFlow."""

import os

import pytest

from clrepro.adapters.tf import _without_notes

NOTE = b"I0000 00:00:1 7 port.cc:153] oneDNN custom operations are on. You may see\n"
REAL = b"E0000 00:00:1 7 dso_loader.cc:9] could not load the library that the user needs\n"


def test_only_the_notes_are_kept_back(capfd):
    with _without_notes():
        os.write(2, NOTE)
        os.write(2, REAL)
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == REAL.decode()
    os.write(2, NOTE)
    assert capfd.readouterr().err == NOTE.decode(), "the standard error is itself again"


def test_what_was_said_comes_out_when_the_import_fails(capfd):
    def broken():
        os.write(2, NOTE + REAL)
        raise ImportError("broken")

    with pytest.raises(ImportError, match="broken"), _without_notes():
        broken()
    assert capfd.readouterr().err == REAL.decode()
