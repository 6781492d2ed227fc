"""Every set known by name: its owners' rows from a hub on loopback, from files, and in the tour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hub_server import COMMIT, HubHandler, served
from owners_rows import HUB, MAWPS, TABMWP

from runtime.errors import DataError, InputError
from runtime.evaluate import question_sets
from runtime.evaluate.known_sets import KNOWN
from runtime.evaluate.question_sets import load_set, load_sets
from runtime.grade.rules import Rule, accepts

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@contextmanager
def hub() -> Iterator[str]:
    """The endpoint of a hub that holds each set's rows as its owners write them."""
    files: dict[str, dict[str, bytes]] = {}
    for path, config, split, rows in HUB.values():
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        name = f"{config}/{split}.jsonl"
        card = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n  - split: {split}\n    path: {name}\n---\n"
        held = files.setdefault(path, {})
        held[name] = data
        held["README.md"] = card.encode()
        if path in ("ChilleD/SVAMP", "ChilleD/MultiArith"):  # asked for as train+test
            other = f"{config}/train.jsonl"
            held[other] = data
            both = f"  - split: train\n    path: {other}\n---\n"
            held["README.md"] = (card[: -len("---\n")] + both).encode()

    class Handler(HubHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            asked = json.loads(self.rfile.read(length) or b"{}")
            path = "/".join(urlsplit(self.path).path.split("/")[3:5])
            wanted = asked.get("paths", [])
            self.answer_json([self._entry(path, name) for name in wanted if name in files.get(path, {})])

        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "datasets"] and "/".join(parts[2:4]) in files:
                path = "/".join(parts[2:4])
                if "tree" in parts:
                    under = "/".join(parts[6:])
                    names = [n for n in files[path] if n.startswith(under)]
                    self.answer_json([self._entry(path, name) for name in names])
                else:
                    told = {"id": path, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0}
                    self.answer_json(told | {"siblings": [{"rfilename": name} for name in files[path]]})
            elif parts[0] == "datasets" and "/".join(parts[1:3]) in files and "resolve" in parts:
                name = "/".join(parts[5:])
                held = files["/".join(parts[1:3])]
                if name in held:
                    self.answer_file(name, held[name])
                else:
                    self.refuse(404, "EntryNotFound")
            else:
                self.refuse(404, "RepoNotFound")

        def _entry(self, path: str, name: str) -> dict[str, object]:
            return {"type": "file", "path": name, "size": len(files[path][name]), "oid": f"{hash(name) & 0xFFFF:040x}"}

    with served(Handler) as endpoint:
        yield endpoint


LOAD = """
import json, sys
from runtime.evaluate.question_sets import load_set
told = {}
for name in sys.argv[1:]:
    chosen = load_set(name)
    told[name] = [[q.question, q.gold, q.subject, q.level, q.rule.as_dict()] for q in chosen.questions]
print(json.dumps(told))
"""


@pytest.mark.slow
def test_every_set_of_the_hub_is_read_as_its_owners_write_it(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="question sets of the hub need datasets (the train extra)")
    removed = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    env = {key: value for key, value in os.environ.items() if key not in removed}
    with hub() as endpoint:
        env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", LOAD, *HUB], capture_output=True, text=True, env=env, timeout=280, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["gsm8k"][0][1] == "1,234"
    assert len(told["svamp"]) == len(told["multiarith"]) == 2, "train and test together"
    assert told["gsm-hard"][0][:2] == ["A robe takes 2287720 bolts?", "3431580.6"]
    assert told["gsm-hard"][0][4] == {"absolute": 1e-3, "capped": True}
    assert told["asdiv"][0] == ["Seven red apples, How many?", "9", "addition", "", {"unit": "apples"}]
    assert told["asdiv"][1][1] == "3, 24"
    assert told["math500"][0][1:4] == [r"\frac12", "algebra", "4"]
    assert (told["aime24"][0][1], told["aime25"][0][1], told["amc23"][0][1]) == ("025", "70", "27.0")
    assert told["olympiadbench"][0][:3] == ["Let $n$ be odd.\nWhich n?", "$69$, $84$", "number theory"]
    assert told["olympiadbench"][1][4] == {"absolute": 0.1, "unit": "min"}
    assert told["minerva_math"][0][4]["loose_units"]
    assert told["ocwcourses"][0][1] == "3.6e-10"


def test_every_set_has_a_hub_address_or_says_where_its_file_is() -> None:
    for name, known in KNOWN.items():
        assert known.hub or known.where or name in ("mathematics", "simuleq"), name
        assert known.answers, name
        assert known.owner, name


def test_owners_files_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "problems_test1k.json"
    path.write_text(json.dumps(TABMWP, indent=1), encoding="utf-8")
    options, number = load_set(f"tabmwp={path}").questions
    assert (options.id, number.id) == ("8", "12")
    assert "Table: Pens\nPrice | Demanded" in options.question
    assert options.question.endswith("Options: (A) surplus (B) shortage")
    assert options.rule == Rule(decimals=3, choices=("surplus", "shortage"))
    assert accepts("(B)", options.gold, options.rule)
    assert accepts("$0.3333", number.gold, number.rule)
    for row in HUB.values():
        assert row[3], "every owner's row is tried"
    for name in HUB:
        file = write(tmp_path / f"{name}.jsonl", HUB[name][3])
        assert load_set(str(file)).name == name
        assert load_set(str(file)).questions[0].question


def test_the_parts_of_a_set_are_known_to_its_questions(tmp_path: Path) -> None:
    chosen = load_set(str(write(tmp_path / "MAWPS.jsonl", MAWPS)))
    assert (chosen.name, [q.subject for q in chosen.questions]) == ("mawps", ["addsub", "singleop"])
    ours = [{"question": "Q?", "gold": "1", "subfield": "Algebra"}]
    assert load_set(str(write(tmp_path / "olympiadbench.jsonl", ours))).questions[0].subject == "algebra"


def test_named_sets_are_found_in_a_folder_whatever_their_case_and_in_parts(tmp_path: Path) -> None:
    for name in ("SVAMP", "MATH_1", "MATH_2", "gsm_hard"):
        write(tmp_path / f"{name}.jsonl", [{"id": name, "question": f"Of {name}?", "gold": "1"}])
    assert load_set("svamp", folder=tmp_path).questions[0].question == "Of SVAMP?"
    assert [q.id for q in load_set("math", folder=tmp_path).questions] == ["MATH_1", "MATH_2"]
    assert load_set("GSM-Hard", folder=tmp_path).questions[0].rule.absolute == 1e-3
    with pytest.raises(InputError, match="there is no folder"):
        load_set("svamp", folder=tmp_path / "none")


def test_the_tour_takes_what_is_at_hand_and_says_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(_: str) -> object:
        raise ImportError("datasets")

    monkeypatch.setattr(question_sets.importlib, "import_module", offline)
    write(tmp_path / "svamp.jsonl", [{"question": f"Q{n}?", "gold": n} for n in range(50)])
    write(tmp_path / "mawps.jsonl", [{"question": f"Q{n}?", "gold": n, "type": "addsub"} for n in range(5)])
    found, absent = load_sets(["all-short"], folder=tmp_path)
    assert {chosen.name: len(chosen.questions) for chosen in found} == {"svamp": 20, "mawps": 5}
    assert set(absent) == set(KNOWN) - {"svamp", "mawps"}
    assert "datasets" in absent["gsm8k"]
    assert "no hub data set" in absent["tabmwp"]
    with pytest.raises(InputError, match=f"none of the {len(KNOWN)} sets is at hand"):
        load_sets(["all-short"])


def test_a_row_that_is_nobodys_is_named_and_so_is_a_grading_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1 of .*not a row of gsm-hard as its owners publish it"):
        load_set(str(write(tmp_path / "gsm-hard.jsonl", [{"text": "?"}])))
    with pytest.raises(DataError, match=r"row 1 of .*'tolerance' is not part of a grading rule"):
        load_set(str(write(tmp_path / "mine.jsonl", [{"question": "Q?", "gold": 1, "grading": {"tolerance": 1}}])))
    chosen = load_set(str(write(tmp_path / "own.jsonl", [{"question": "Q?", "gold": 1, "grading": {"absolute": 0.5}}])))
    assert chosen.questions[0].rule == Rule(absolute=0.5)


def test_golds_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    rows = [{"id": "a", "question": "Q?", "gold": r"$t(0,4]$"}, {"id": "b", "question": "R?", "gold": "7"}]
    assert [q.id for q in load_set(str(write(tmp_path / "x.jsonl", rows))).unread()] == ["a"]
