"""Rows in the schema of each set's owners, written for these tests."""

from __future__ import annotations

from typing import Any

HUB: dict[str, tuple[str, str, str, list[dict[str, Any]]]] = {
    "gsm8k": ("openai/gsm8k", "main", "test", [{"question": "Three and four?", "answer": "3+4\n#### 1,234"}]),
    "svamp": (
        "ChilleD/SVAMP",
        "default",
        "test",
        [{"ID": "chal-1", "Body": "There are 3 cats.", "Question": "How many?", "Answer": "3.0"}],
    ),
    "gsm-hard": (
        "reasoning-machines/gsm-hard",
        "default",
        "train",
        [{"input": "A robe takes 2287720 bolts?", "code": "def solution(): ...", "target": 3431580.6000000001}],
    ),
    "asdiv": (
        "EleutherAI/asdiv",
        "asdiv",
        "validation",
        [
            {
                "body": "Seven red apples",
                "question": "How many?",
                "solution_type": "Addition",
                "answer": "9 (apples)",
                "formula": "7+2=9",
            },
            {
                "body": "It ran.",
                "question": "How long and often?",
                "solution_type": "Two",
                "answer": "3 (hours); 24 (times)",
                "formula": "",
            },
        ],
    ),
    "multiarith": ("ChilleD/MultiArith", "default", "test", [{"question": "Two rows of six?", "final_ans": "12"}]),
    "math500": (
        "HuggingFaceH4/MATH-500",
        "default",
        "test",
        [
            {
                "problem": "Half?",
                "solution": r"\boxed{\frac12}",
                "answer": r"\frac12",
                "subject": "Algebra",
                "level": 4,
                "unique_id": "test/algebra/1.json",
            }
        ],
    ),
    "aime24": ("HuggingFaceH4/aime_2024", "default", "train", [{"id": 60, "problem": "Aya walks?", "answer": "025"}]),
    "aime25": ("math-ai/aime25", "default", "test", [{"id": "0", "problem": "Bases?", "answer": "70"}]),
    "amc23": ("math-ai/amc23", "default", "test", [{"id": 0, "question": "They meet?", "answer": 27.0, "url": "u"}]),
    "minerva_math": ("math-ai/minervamath", "default", "test", [{"question": "Luminosity?", "answer": "4.5e33"}]),
    "olympiadbench": (
        "Hothan/OlympiadBench",
        "OE_TO_maths_en_COMP",
        "train",
        [
            {
                "id": 1606,
                "question": "Which n?",
                "context": "Let $n$ be odd.",
                "final_answer": ["$69$", "$84$"],
                "is_multiple_answer": True,
                "unit": None,
                "error": None,
                "subfield": "Number Theory",
            },
            {
                "id": 1607,
                "question": "How long?",
                "context": None,
                "final_answer": ["3.14"],
                "is_multiple_answer": False,
                "unit": "min",
                "error": "1e-1",
                "subfield": "Algebra",
            },
        ],
    ),
    "ocwcourses": (
        "zhangirazerbayev/ocwcourses",
        "default",
        "test",
        [{"problem": "Mass?", "solution": "", "answer": "3.6e-10"}],
    ),
}
"""Set to its owners' path, configuration, split and rows."""

TABMWP = {
    "8": {
        "question": "Is there a surplus?",
        "choices": ["surplus", "shortage"],
        "answer": "shortage",
        "unit": None,
        "table_title": "Pens",
        "table": "Price | Demanded | Supplied\n$10 | 20 | 12",
        "ques_type": "multi_choice",
        "ans_type": "extractive_text",
        "grade": 8,
        "split": "test",
    },
    "12": {
        "question": "What is the mean?",
        "choices": None,
        "answer": "1/3",
        "unit": "$",
        "table_title": None,
        "table": "A | 1",
        "ques_type": "free_text",
        "ans_type": "decimal_number",
        "grade": 5,
        "split": "test",
    },
}
"""As problems_test.json of its owners."""

MAWPS = [{"input": f"Sum {part}?", "target": "0.6666666667", "type": part} for part in ("addsub", "singleop")]
"""As the files of ToRA."""
