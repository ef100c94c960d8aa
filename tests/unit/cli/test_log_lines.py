from headwater.cli.logs import Lines


def test_lines_of_several_instances_do_not_mix():
    lines = Lines(prefixed=True)

    assert lines.whole("wn.1", "one\ntw") == "wn.1 | one\n"
    assert lines.whole("wn.2", "un") == ""
    assert lines.whole("wn.1", "o\n") == "wn.1 | two\n"
    assert lines.rest() == "wn.2 | un\n"


def test_a_single_output_is_passed_on_as_it_comes():
    lines = Lines(prefixed=False)

    assert lines.whole("wn.1", "no end") == "no end"
    assert lines.rest() == ""
