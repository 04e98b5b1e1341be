"""The transcript of a tour as Markdown. What differs from run to run (ids, times, addresses) is named alike in all."""

import json
import re

LONGEST_LIST = 3
WIDTH = 110
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
OPAQUE = re.compile(r'("(?:next_cursor|provider_version|url|version)": )"[^"]*"')


class Transcript:
    """Collects steps. Names are given in the order in which they come up, so that equal things stay equal."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.names: dict[str, str] = {}

    def say(self, text: str) -> None:
        self.parts.append(text)

    def asked(self, what: str) -> None:
        self.parts.append(f"```text\n> {self._alike(what)}\n```")

    def answered(self, answer: object) -> None:
        text = json.dumps(_shortened(answer), ensure_ascii=False, indent=2)
        self.parts.append(f"```json\n{self._alike(_joined(text))}\n```")

    def failed(self, text: str) -> None:
        self.parts.append(f"```text\n{self._alike(text)}\n```")

    def text(self) -> str:
        return "\n\n".join(self.parts) + "\n"

    def name(self, value: str, name: str) -> None:
        """From now on `value` is shown as `name`."""
        self.names.setdefault(value, name)

    def _alike(self, text: str) -> str:
        for value, name in sorted(self.names.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(value, name)
        text = ADDRESS.sub("http://127.0.0.1:8080", TIME.sub("TIME", text))
        text = OPAQUE.sub(r'\1"…"', text)
        return UUID.sub(lambda found: self._uuid(found.group()), text)

    def _uuid(self, value: str) -> str:
        known = [name for name in self.names.values() if name.startswith("ID-")]
        self.names.setdefault(value, f"ID-{len(known) + 1}")
        return self.names[value]


def _shortened(value: object) -> object:
    if isinstance(value, dict):
        return {name: _shortened(member) for name, member in value.items()}
    if isinstance(value, list):
        shown = [_shortened(entry) for entry in value[:LONGEST_LIST]]
        return shown + [f"… {len(value) - LONGEST_LIST} more"] if len(value) > LONGEST_LIST else shown
    return value


def _joined(text: str) -> str:
    """Objects and lists that fit into a line stand in one."""
    pattern = re.compile(r"([\[{])\n\s+((?:[^\[\]{}\n]|\n)*?)\n\s*([\]}])")
    while True:
        shorter = pattern.sub(_in_a_line, text)
        if shorter == text:
            return text.replace("\ue000", "[").replace("\ue001", "]").replace("\ue002", "{").replace("\ue003", "}")
        text = shorter


def _in_a_line(found: re.Match) -> str:
    begin, inner, end = found.groups()
    line = re.sub(r"\n\s*", " ", inner)
    marks = {"[": "\ue000", "]": "\ue001", "{": "\ue002", "}": "\ue003"}
    if len(line) > WIDTH:
        return marks[begin] + found.group()[1:-1] + marks[end]
    space = " " if begin == "{" else ""
    return f"{marks[begin]}{space}{line}{space}{marks[end]}"
