"""Messages of libraries, as a line of ours."""

from cb.errors import one_line


def test_a_message_is_one_line_without_formatting_and_says_where_it_was_cut():
    error = ValueError("call().\n\n\x1b[1mInput 0\x1b[0m has  shape (3,)")
    assert one_line(error) == "call(). Input 0 has shape (3,)"
    assert one_line(error, 30) == one_line(error, None) == one_line(error)
    assert one_line(error, 29) == "call(). Input 0 has shape ..."
