"""Greedy answers by the engine's command line instead of PyTorch: what is measured is what ships."""

import json
import subprocess
import tempfile
from pathlib import Path


def generate(binary: Path, model: Path, prompts: list[list[int]], count: int) -> list[list[int]]:
    """At most `count` generated ids per prompt, with every key and value kept."""
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        ids = Path(folder) / "ids.json"
        for prompt in prompts:
            ids.write_text(json.dumps(prompt))
            command = [binary, "generate", "-m", model, "--ids", ids, "-n", str(count), "--kv", "full", "--json"]
            run = subprocess.run(command, capture_output=True, check=True)
            answers.append(json.loads(run.stdout)["tokens"])
    return answers
