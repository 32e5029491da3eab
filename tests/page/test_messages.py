from common.errors import InputError
from page.messages import error_text


def test_an_error_becomes_sentences():
    err = InputError(None, "this file is empty (0 bytes)", "copy it again")
    assert error_text(err) == "This file is empty (0 bytes). Copy it again."


def test_the_final_punctuation_of_a_hint_is_kept():
    assert error_text(InputError(None, "there is no model 'x'", "did you mean 'y'?")) == (
        "There is no model 'x'. Did you mean 'y'?")


def test_a_file_is_shown_without_its_folder():
    err = InputError("/secret/folder/a film.mp4", "no frame can be decoded")
    assert error_text(err) == "a film.mp4: no frame can be decoded."
