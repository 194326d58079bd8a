"""Speaks to /v1 with the command `llm`. Usage: compat-llm.py BASE_URL KEY MODEL CALLER

MODEL answers; CALLER calls a tool, whole and then streamed, says "There is sun" to what the tool found,
breaks a poem off behind "one", and tells a story without an end.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

base_url, key, model, caller = sys.argv[1:]
command = str(pathlib.Path(sys.executable).with_name("llm"))
folder = tempfile.TemporaryDirectory()
os.environ["LLM_USER_PATH"] = folder.name
names = [model, caller, "nobody-has-this"]
models = [
    {
        "model_id": f"rekursing/{name}",
        "model_name": name,
        "api_base": base_url,
        "api_key_name": "rekursing",
        "supports_tools": True,
        "supports_schema": True,
    }
    for name in names
]
# JSON is YAML.
(pathlib.Path(folder.name) / "extra-openai-models.yaml").write_text(json.dumps(models))


def llm(*arguments):
    return subprocess.run([command, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def answer(name, *arguments):
    ran = llm("prompt", "-m", f"rekursing/{name}", *arguments)
    assert ran.returncode == 0, ran
    return ran.stdout.strip()


assert llm("keys", "set", "rekursing", "--value", key).returncode == 0
assert answer(model, "Echo: blue river k7x2", "-o", "temperature", "0", "--no-stream") == "blue river k7x2"
assert answer(model, "Echo: blue river k7x2", "-o", "temperature", "0") == "blue river k7x2"

# What the tool says goes back to CALLER, which then answers in words.
calls = pathlib.Path(folder.name) / "calls"
function = f'def weather(city: str) -> str:\n    open({str(calls)!r}, "a").write(city + "\\n")\n    return "sun in Paris"\n'
for way in ["--no-stream"], []:
    said = answer(caller, "What is the weather in Paris?", "--functions", function, *way)
    assert said.endswith("There is sun"), said
assert calls.read_text() == "Paris\nParis\n", calls.read_text()

colours = ["ultramarine", "vermilion"]
schema = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": colours}},
    "required": ["colour"],
    "additionalProperties": False,
}
for way in ["--no-stream"], []:
    paint = answer(model, "What colour is the sky?", "--schema", json.dumps(schema), *way)
    assert json.loads(paint)["colour"] in colours, paint
    refused = llm("prompt", "-m", "rekursing/nobody-has-this", "Hello", *way)
    assert refused.returncode == 1 and "model_not_found" in refused.stderr, refused

broken = llm("prompt", "-m", f"rekursing/{caller}", "Begin a poem")
assert broken.returncode == 1 and broken.stdout.startswith("one") and broken.stderr, broken

told = subprocess.Popen(
    [command, "prompt", "-m", f"rekursing/{caller}", "Tell a long story"],
    stdin=subprocess.DEVNULL,
    stdout=subprocess.PIPE,
    # Whoever runs this in the background has it ignore the signal.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
)
assert told.stdout.read(1), "a story without a beginning"
told.send_signal(signal.SIGINT)
print("stopped", flush=True)
sys.stdin.readline()
told.wait()
print("ok")
